/** What was opened, to be closed newest first: each part may need the ones that were opened before it. */
export class Cleanups {
  private readonly steps: { name: string; run: () => Promise<unknown> }[] = [];

  add(name: string, run: () => Promise<unknown>): void {
    this.steps.push({ name, run });
  }

  /** One that fails does not keep the others from running. Answers what failed. */
  async run(): Promise<Error[]> {
    const failures: Error[] = [];
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step.run();
      } catch (cause) {
        failures.push(new Error(`Could not close the ${step.name}.`, { cause }));
      }
    }
    return failures;
  }
}
