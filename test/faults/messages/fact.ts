/** How a line begins that a process of a run says to be counted; everything else is for people. */
export const FACT = 'fact: ';
