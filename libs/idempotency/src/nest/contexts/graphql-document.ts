/** A document, and what it came in. */
export interface CarriedDocument {
  /** The HTTP request, which may carry several documents. */
  readonly request: object;
  /** The same for all fields of one document, and for those of no other. */
  readonly execution: object;
}

/** Which document of a request has come to a record first. */
const first = new WeakMap<object, Map<string, object>>();

/**
 * Whether another document of the same request has come to this record by its header: they share that, and their fields have the
 * same positions, so one would be taken for the other.
 */
export function isTakenByAnother({ request, execution }: CarriedDocument, recordId: string): boolean {
  const records = first.get(request) ?? new Map<string, object>();
  first.set(request, records);
  const taken = records.get(recordId) ?? execution;
  records.set(recordId, taken);
  return taken !== execution;
}
