/** What is done at night: one line for each report. */
export abstract class Reports {
  abstract make(tick: string): Promise<string> | string;
}
