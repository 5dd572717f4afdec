/** Works on all items, so many at a time, also on those that the work adds. Answers are in the order of the items. */
export async function inLanes<T, R>(
  lanes: number,
  items: readonly T[],
  work: (item: T, more: (item: T) => void) => Promise<R>,
): Promise<R[]> {
  const waiting = items.map((item, at) => ({ item, at }));
  const results: R[] = [];
  let count = items.length;
  const more = (item: T) => waiting.push({ item, at: count++ });
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      results[next.at] = await work(next.item, (item) => void more(item));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}
