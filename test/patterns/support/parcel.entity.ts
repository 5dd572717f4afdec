import {
  AfterLoad,
  BeforeInsert,
  Column,
  CreateDateColumn,
  DeleteDateColumn,
  Entity,
  Index,
  PrimaryGeneratedColumn,
  UpdateDateColumn,
  VersionColumn,
} from 'typeorm';

export class Address {
  @Column({ type: 'varchar', length: 20 })
  city!: string;

  @Column({ type: 'varchar', length: 10, nullable: true })
  zip!: string | null;
}

/** Whatever TypeORM does to a value on its way. */
@Entity('parcels')
@Index('parcels_key', ['userId', 'requestKey'], { unique: true })
export class Parcel {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @Column({ name: 'user_id', type: 'varchar', length: 40 })
  userId!: string;

  @Column({ name: 'request_key', type: 'varchar', length: 40, nullable: true })
  requestKey!: string | null;

  @Column({ type: 'varchar', length: 40, nullable: true, unique: true })
  label!: string | null;

  @Column({ type: 'bigint', transformer: { from: Number, to: (grams: number) => grams } })
  grams!: number;

  @Column({ type: 'simple-json' })
  contents!: readonly string[];

  @Column({ type: 'boolean', default: true })
  open!: boolean;

  @Column({ type: 'varchar', length: 10, default: 'new' })
  state!: string;

  @Column({ type: 'varchar', length: 10, select: false, default: 'hidden' })
  secret!: string;

  @Column(() => Address)
  to!: Address;

  @VersionColumn()
  version!: number;

  @CreateDateColumn()
  createdAt!: Date;

  @UpdateDateColumn()
  updatedAt!: Date;

  @DeleteDateColumn()
  deletedAt!: Date | null;

  shown?: string;

  @AfterLoad()
  show(): void {
    this.shown = `${this.to.city}: ${this.contents.join()}`;
  }

  @BeforeInsert()
  check(): void {
    this.contents = [...this.contents, 'checked'];
  }
}
