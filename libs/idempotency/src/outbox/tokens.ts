/** By name, so that two copies of this package still understand each other. */
export const OUTBOX_RUNTIME = Symbol.for('nestjs-idempotent:outbox-runtime');
