import ts from 'typescript';
import { implementationsOf, resolved } from './declarations.js';
import type { Sources } from './sources.js';

/** Nest calls these on the way of a request, by interface. */
const CALLED_BY_NEST = ['CanActivate', 'PipeTransform', 'NestInterceptor', 'ExceptionFilter'];

/** What Nest calls of an app's own client or server of a transport, when a message goes out or comes in. */
const CALLED_BY_TRANSPORTS = ['publish', 'dispatchEvent', 'handleEvent', 'handleMessage'];

/**
 * Every function of the apps that the handlers of these routes can lead to, through whatever they call or hand on, and
 * what Nest calls around them. An interface leads to all that implement it. What comes of a message is on the path as well:
 * what the outbox calls to publish it, what carries it, and every consumer.
 *
 * @param routes such as `POST /orders/:id/payments`
 */
export function functionsOnThePath(sources: Sources, routes: readonly string[]): ReadonlySet<ts.Node> {
  const found = new Set<ts.Node>();
  const waiting: ts.Node[] = [
    ...routes.map((route) => handlerOf(route, sources)),
    ...calledByNest(sources),
    ...calledByTheOutbox(sources),
    ...calledByTransports(sources),
    ...consumers(sources),
  ];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    waiting.push(...leadsTo(next, sources));
  }
  return found;
}

function leadsTo(from: ts.Node, sources: Sources): ts.Node[] {
  const to: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || (ts.isIdentifier(node) && node.parent === from)) return;
    if (ts.isDecorator(node) && !node.expression.getText().startsWith('Idempotent(')) return;
    if (ts.isIdentifier(node)) to.push(...codeOf(node, sources));
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(from, visit);
  return to;
}

function codeOf(name: ts.Identifier, sources: Sources): ts.Node[] {
  const declaration = resolved(name, sources)?.valueDeclaration;
  if (!declaration || !sources.files.includes(declaration.getSourceFile())) return [];
  if (ts.isPropertyDeclaration(declaration) || isOfModule(declaration)) return [declaration];
  if (ts.isClassDeclaration(declaration)) return declaration.members.filter(ts.isConstructorDeclaration);
  if (ts.isMethodSignature(declaration) || ts.isMethodDeclaration(declaration))
    return [declaration, ...implementationsOf(declaration, sources)].filter(hasBody);
  return hasBody(declaration) ? [declaration] : [];
}

/** A variable inside a function is a part of it, and is looked at with it. */
const isOfModule = (node: ts.Node): boolean =>
  ts.isVariableDeclaration(node) && ts.isSourceFile(node.parent.parent.parent);

const hasBody = (node: ts.Node): boolean =>
  ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;

function handlerOf(route: string, sources: Sources): ts.Node {
  for (const [controller, method] of methods(sources)) {
    const at = argumentOf(controller, 'Controller');
    for (const verb of ['Post', 'Put', 'Patch', 'Delete', 'Get']) {
      const path = argumentOf(method, verb);
      if (at === undefined || path === undefined) continue;
      if (route === `${verb.toUpperCase()} /${[at, path].filter(Boolean).join('/')}`) return method;
    }
  }
  throw new Error(`No controller of the apps has the route ${route}.`);
}

function* methods({ files }: Sources): Generator<[ts.ClassDeclaration, ts.MethodDeclaration]> {
  for (const file of files)
    for (const declaration of file.statements.filter(ts.isClassDeclaration))
      for (const method of declaration.members.filter(ts.isMethodDeclaration)) yield [declaration, method];
}

function* calledByNest(sources: Sources): Generator<ts.Node> {
  for (const [declaration, method] of methods(sources)) {
    const names = declaration.heritageClauses?.flatMap(({ types }) =>
      types.map((type) => type.expression.getText()),
    );
    if (names?.some((name) => CALLED_BY_NEST.includes(name))) yield method;
  }
}

/** Whatever is handed to `OutboxModule.forRoot(…)`. */
function* calledByTheOutbox({ files }: Sources): Generator<ts.Node> {
  const found: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^OutboxModule\.forRoot/.test(node.expression.getText()))
      found.push(node);
    ts.forEachChild(node, visit);
  };
  files.forEach(visit);
  if (found.length === 0) throw new Error('The apps have no OutboxModule.');
  yield* found;
}

function* calledByTransports(sources: Sources): Generator<ts.Node> {
  for (const [, method] of methods(sources)) {
    const overrides = ts.getModifiers(method)?.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword);
    if (overrides && CALLED_BY_TRANSPORTS.includes(method.name.getText())) yield method;
  }
}

function* consumers(sources: Sources): Generator<ts.Node> {
  for (const [, method] of methods(sources)) {
    const decorators = ts.getDecorators(method) ?? [];
    if (decorators.some(({ expression }) => /^(Event|Message)Pattern\b/.test(expression.getText())))
      yield method;
  }
}

/** '' for `@Post()`, 'x' for `@Post('x')`, undefined without that decorator. */
function argumentOf(node: ts.HasDecorators, decorator: string): string | undefined {
  for (const { expression } of ts.getDecorators(node) ?? []) {
    if (!ts.isCallExpression(expression) || expression.expression.getText() !== decorator) continue;
    const [first] = expression.arguments;
    if (!first) return '';
    if (ts.isStringLiteral(first)) return first.text;
    throw new Error(`The path of ${expression.getText()} is not a text that can be read here.`);
  }
  return undefined;
}
