import type { INestApplication } from '@nestjs/common';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StartError } from './start-error.js';

/** Both apps talk to this machine alone: what stands for a login and for a bank here is nothing that should be reachable. */
const HOST = '127.0.0.1';

/** Answers the address. @throws StartError when the port is taken */
export async function listen(app: INestApplication, port: number): Promise<string> {
  try {
    await app.listen(port, HOST);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new StartError(`Port ${port} is taken. Start on another one: PORT=${port + 1} npm start`, {
      cause,
    });
  }
  const server = app.getHttpServer() as Server;
  return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}
