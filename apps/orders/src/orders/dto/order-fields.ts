import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsInt,
  IsObject,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { LIMITS } from '../order-limits.js';
import { OrderItemDto } from './order-item.dto.js';

/** The rules of a field are the same wherever a body carries it: they are stated here, once. */
const itemRules = [
  IsArray(),
  ArrayMinSize(1),
  ArrayMaxSize(LIMITS.lines),
  IsObject({ each: true, message: 'each value in $property must be an object' }), // ValidateNested alone lets a nested array through
  ValidateNested({ each: true }),
  Type(() => OrderItemDto),
];

export const Items = (): PropertyDecorator =>
  applyDecorators(ApiProperty({ type: [OrderItemDto], minItems: 1, maxItems: LIMITS.lines }), ...itemRules);

/** Absent is fine, `null` is not: an order without items is no order. */
export const OptionalItems = (): PropertyDecorator =>
  applyDecorators(
    ApiPropertyOptional({ type: [OrderItemDto], minItems: 1, maxItems: LIMITS.lines }),
    ValidateIf((_body, items) => items !== undefined),
    ...itemRules,
  );

/** `null` is the same as no note. PostgreSQL cannot store the character NUL. */
export const Note = (): PropertyDecorator =>
  applyDecorators(
    ApiPropertyOptional({
      type: String,
      nullable: true,
      maxLength: LIMITS.noteLength,
      example: 'Leave at the door',
    }),
    IsOptional(),
    IsString(),
    MaxLength(LIMITS.noteLength),
    Matches(/^[^\0]*$/, { message: '$property must not contain the character NUL' }),
  );

export const Version = (): PropertyDecorator =>
  applyDecorators(
    ApiPropertyOptional({
      type: 'integer',
      description: 'The version you have seen, unless If-Match says it.',
    }),
    ValidateIf((_body, version) => version !== undefined),
    IsInt(),
    Min(1),
    Max(2_147_483_647),
  );
