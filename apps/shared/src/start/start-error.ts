/** Something that whoever starts the app can mend: the message says all of it, and a stack would only hide it. */
export class StartError extends Error {}
