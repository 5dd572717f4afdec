/** Functions that only compute; any other may write something. */
const HARMLESS =
  /\b(count|sum|min|max|avg|coalesce|lower|upper|distinct|in|exists|and|or|not|on|where|from|join|select|as|then|when|else)\s*\(/gi;

/** Undoing it does no harm, whoever asked: it writes nothing and holds no lock. */
export function isPlainRead(sql: string): boolean {
  if (!/^\s*select\b/i.test(sql)) return false;
  if (/\b(for\s+(no\s+key\s+)?(update|share|key)|lock\s+in|into)\b/i.test(sql)) return false;
  return !/[\w"`]\s*\(/.test(sql.replace(HARMLESS, ' ('));
}
