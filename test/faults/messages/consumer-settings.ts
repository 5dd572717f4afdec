/** So many deliveries one process has at a time. */
export const PREFETCH = 10;
