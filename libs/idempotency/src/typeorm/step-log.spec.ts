import { describe, expect, it } from '@jest/globals';
import { RecordUnreadableError } from '../core/errors.js';
import { readSteps, stepEntry } from './step-log.js';

const texts = (log: Uint8Array | null) =>
  [...readSteps(log)].map(([name, value]) => [name, Buffer.from(value).toString()]);

describe('the log of steps', () => {
  it('is empty where there is none', () => {
    expect(texts(null)).toEqual([]);
    expect(texts(new Uint8Array())).toEqual([]);
  });

  it('gives back any name and value in the order of their first saving', () => {
    const entries = [
      ['', ''],
      ['a\0b', '\0'],
      ['\ufeffname', '🔑'],
      ['10', 'x'],
      ['9', 'y'],
    ] as const;
    const log = Buffer.concat(entries.map(([name, value]) => stepEntry(name, Buffer.from(value))));
    expect(texts(log)).toEqual(entries);
  });

  it('keeps the place of a name that is saved again, and its earlier value up to the earlier length', () => {
    const first = Buffer.concat([stepEntry('a', Buffer.from('1')), stepEntry('b', Buffer.from('2'))]);
    const log = Buffer.concat([first, stepEntry('a', Buffer.from('3'))]);
    expect(texts(log)).toEqual([
      ['a', '3'],
      ['b', '2'],
    ]);
    expect(texts(log.subarray(0, first.length))).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
  });

  it('that is cut off anywhere but between two entries, or is no text where it must be, is refused', () => {
    const log = Buffer.concat([stepEntry('ab', Buffer.from('12')), stepEntry('c', Buffer.from('3'))]);
    const whole = [0, 12, log.length];
    for (let length = 0; length <= log.length; length += 1) {
      const read = () => readSteps(log.subarray(0, length));
      if (whole.includes(length)) expect(read).not.toThrow();
      else expect(read).toThrow(RecordUnreadableError);
    }
    const noText = stepEntry('ab', Buffer.from('12'));
    noText[8] = 0xff;
    expect(() => readSteps(noText)).toThrow(RecordUnreadableError);
  });
});
