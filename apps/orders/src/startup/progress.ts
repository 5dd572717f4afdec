/** One plain line for each thing a start does, so that whoever waits knows what for. */
export class Progress {
  private stage = 0;
  private title = '';

  constructor(
    private readonly stages: number,
    private readonly write: (line: string) => void = (line) => console.log(line),
  ) {}

  begin(title: string): void {
    this.stage++;
    this.title = title;
  }

  readonly line = (text: string): void => {
    this.write(`${this.stage}/${this.stages} ${this.title}: ${text}`);
  };

  /** A line that belongs to no stage. */
  say(text: string): void {
    this.write(text);
  }
}
