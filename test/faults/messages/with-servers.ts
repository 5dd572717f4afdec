import { startPostgres, type PostgresServer } from '../../support/postgres-server.js';
import { startRabbit, type RabbitServer } from '../../support/rabbitmq-server.js';

/** A run with a broker and a database of its own. */
export async function withServers(
  run: (servers: { readonly rabbit: RabbitServer; readonly postgres: PostgresServer }) => Promise<void>,
): Promise<void> {
  // Servers that end keep no process alive until they have ended.
  const alive = setInterval(() => undefined, 60_000);
  const [rabbit, postgres] = await Promise.all([startRabbit(), startPostgres()]);
  try {
    await run({ rabbit, postgres });
  } finally {
    await Promise.all([rabbit.stop(), postgres.stop()]);
    clearInterval(alive);
  }
}
