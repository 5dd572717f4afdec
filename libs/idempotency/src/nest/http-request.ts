import type { ExecutionContext } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyReplyLike } from '../http/fastify-response-tap.js';

/** What we use of a request and its response, the same on Express and Fastify. */
export interface HttpRequest {
  readonly platform: 'express' | 'fastify';
  readonly rawRequest: IncomingMessage;
  readonly rawResponse: ServerResponse;
  /** Fastify's reply; undefined on Express. */
  readonly reply: FastifyReplyLike | undefined;
  readonly method: string;
  /** Path and query as they were asked for. */
  readonly url: string;
  /** Route template with prefix and version: `/v1/orders/:id`. */
  readonly template: string;
  readonly body: unknown;
  readonly params: Readonly<Record<string, unknown>>;
  readonly user: unknown;
  /** Parameters in the host name; undefined when the controller asks for none. */
  readonly hosts: object | undefined;
}

interface AnyRequest {
  readonly raw?: IncomingMessage;
  readonly method: string;
  readonly originalUrl?: string;
  readonly url: string;
  readonly route?: { readonly path?: unknown };
  readonly routeOptions?: { readonly url?: string };
  readonly routerPath?: string;
  readonly body?: unknown;
  readonly params?: Record<string, unknown>;
  readonly user?: unknown;
  readonly hosts?: object;
}

export function httpRequestOf(context: ExecutionContext): HttpRequest {
  const http = context.switchToHttp();
  const request = http.getRequest<AnyRequest>();
  const response = http.getResponse<ServerResponse | (FastifyReplyLike & { raw: ServerResponse })>();
  const reply = 'raw' in response ? response : undefined;
  const path = reply ? (request.routeOptions?.url ?? request.routerPath) : request.route?.path;
  return {
    platform: reply ? 'fastify' : 'express',
    rawRequest: request.raw ?? (request as unknown as IncomingMessage),
    rawResponse: 'raw' in response ? response.raw : response,
    reply,
    method: request.method.toUpperCase(),
    url: request.originalUrl ?? request.url,
    template: normalTemplate(typeof path === 'string' ? path : request.url),
    body: request.body,
    params: request.params ?? {},
    user: request.user,
    hosts: request.hosts && Object.keys(request.hosts).length > 0 ? request.hosts : undefined,
  };
}

/** Both platforms write wildcards in their own way, and only one of them a trailing slash. */
function normalTemplate(path: string): string {
  const template = path.replace(/\{?\*[A-Za-z0-9_]*\}?/g, '*').replace(/(.)\/+$/, '$1');
  return template.startsWith('/') ? template : `/${template}`;
}

/** Somebody has answered already: an outer timeout, a filter, the application itself. */
export function isAnswered({ rawResponse, reply }: HttpRequest): boolean {
  return rawResponse.writableEnded || (reply as { sent?: boolean } | undefined)?.sent === true;
}

export function setStatus({ reply, rawResponse }: HttpRequest, status: number): void {
  if (reply) reply.code(status);
  else rawResponse.statusCode = status;
}

export function setHeaders(request: HttpRequest, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (request.reply) request.reply.header(name, value);
    else if (!request.rawResponse.headersSent) request.rawResponse.setHeader(name, value);
  }
}
