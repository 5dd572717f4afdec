import { Injectable } from '@nestjs/common';
import type { PipeTransform } from '@nestjs/common';
import { isUUID } from 'class-validator';
import { Problem } from '../../../shared/src/problems/problem.js';

/** PostgreSQL takes UUIDs in either case and gives them in lower case; so do we. */
@Injectable()
export class OrderIdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    if (isUUID(id)) return id.toLowerCase();
    throw new Problem(
      400,
      'invalid-request',
      'The id of an order is a UUID, such as 0b8f1d3e-5a0c-4f1e-9d57-6a2f6e0c1a11.',
    );
  }
}
