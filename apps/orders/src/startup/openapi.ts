import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { OpenAPIObject } from '@nestjs/swagger';

export function describeApi(app: INestApplication): OpenAPIObject {
  const base = new DocumentBuilder()
    .setTitle('Orders')
    .setDescription(
      'A sample of nestjs-idempotent. Place an order, then send the very same request again: you get the first answer, ' +
        'marked `Idempotent-Replayed: true`, and there is still one order.',
    )
    .setVersion('1')
    .build();
  return SwaggerModule.createDocument(app, base);
}

/** At /docs, and as JSON at /docs-json. The document is made when somebody first asks for it. */
export function serveDocs(app: INestApplication): void {
  SwaggerModule.setup('docs', app, () => describeApi(app));
}
