import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What all apps over one database have to know and nobody else; made by the migration. */
@Entity('secrets')
export class Secret {
  @PrimaryColumn('varchar', { length: 32 })
  name!: string;

  /** 32 random bytes in base64url. */
  @Column('varchar', { length: 43 })
  value!: string;
}
