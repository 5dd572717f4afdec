/** Works on all items, one at a time in each lane, also on those that the work adds. Answers are in the order of the items. */
export async function inLanes<Lane, T, R>(
  lanes: readonly Lane[],
  items: readonly T[],
  work: (lane: Lane, item: T, more: (item: T) => void) => Promise<R>,
): Promise<R[]> {
  const waiting = items.map((item, at) => ({ item, at }));
  const results: R[] = [];
  let count = items.length;
  const more = (item: T) => waiting.push({ item, at: count++ });
  const run = async (lane: Lane): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      results[next.at] = await work(lane, next.item, (item) => void more(item));
  };
  await Promise.all(lanes.map(run));
  return results;
}
