export const NAMESPACE = 'jobs';

/** BullMQ notices within a second or so that a worker is dead. */
export const BULL = { lockDuration: 1000, stalledInterval: 200 };
