/** What Express' response and Fastify's reply have in common. */
export interface AnyResponse {
  status(code: number): this;
  header(name: string, value: string | readonly string[]): unknown;
  removeHeader(name: string): unknown;
  send(body: unknown): unknown;
}
