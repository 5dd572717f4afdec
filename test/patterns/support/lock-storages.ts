import { DataSource, type DataSourceOptions } from 'typeorm';
import type { IdempotencyStorage } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';

/** Where a storage is, in words that another process understands. */
export type StorageAddress =
  | { readonly kind: 'redis'; readonly url: string }
  | { readonly kind: 'typeorm'; readonly options: DataSourceOptions };

/** A storage of one's own over what others share. Connected when its app starts. */
export async function storageOf(address: StorageAddress): Promise<IdempotencyStorage> {
  if (address.kind === 'redis') return redisStorage({ url: address.url });
  const dataSource = await new DataSource(address.options).initialize();
  const storage = typeOrmStorage({ dataSource, purgeEvery: false });
  const stop = storage.stop?.bind(storage);
  storage.stop = async () => {
    await stop?.();
    await dataSource.destroy();
  };
  return storage;
}
