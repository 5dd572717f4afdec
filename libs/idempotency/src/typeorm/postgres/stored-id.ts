/** Text columns hold no NUL: it is written `\0`, and a backslash `\\`. Everything else stays as people know it. */
export function writeId(id: string): string {
  return id.replace(/[\\\0]/g, (character) => (character === '\0' ? '\\0' : '\\\\'));
}

export function readId(stored: string): string {
  return stored.replace(/\\([\\0])/g, (_, character) => (character === '0' ? '\0' : '\\'));
}

/** Ids that start with the text, whatever it holds. */
export function likePrefix(idPrefix: string): string {
  return `${writeId(idPrefix).replace(/[\\%_]/g, '\\$&')}%`;
}
