import ts from 'typescript';
import { calleeOf, implementationsOf, isAsync } from './declarations.js';
import { placeOf, type Sources } from './sources.js';

/** A place on the path at which the process waits for something, and so may die while it has happened or has not. */
export interface Wait {
  /** `apps/orders/src/orders/orders.service.ts:27` */
  readonly place: string;
  readonly text: string;
  /** The waits of the app that hold it, as CRASH_AT names them; empty when it has no point before and after it. */
  readonly heldBy: readonly string[];
}

/** Whose calls are held by the points around the storage, which is where they leave something that survives. */
const HELD_BY_THE_STORAGE = ['IdempotentOperation', 'IdempotencyService'];
const COMBINATORS = ['Promise.all', 'Promise.allSettled', 'Promise.race', 'Promise.any'];

type Loose = {
  readonly node: ts.Node;
  readonly operand: ts.Expression | undefined;
  readonly inLoop: boolean;
};

/** @param owner a function on the path; functions written inside it belong to it */
export function waitsOf(owner: ts.Node, sources: Sources): Wait[] {
  const waits: Wait[] = [];
  const look = (fn: ts.Node): void => {
    const found = waitsDirectlyIn(fn, look, sources);
    for (const { node, operand, inLoop } of found) {
      const held = (operand && holders(operand, sources)) ?? (inLoop ? undefined : alone(fn, found));
      waits.push({ place: placeOf(node, sources), text: firstLine(node), heldBy: held ?? [] });
    }
  };
  look(owner);
  return waits;
}

const firstLine = (node: ts.Node): string => node.getText().split('\n')[0] as string;

function waitsDirectlyIn(fn: ts.Node, nested: (fn: ts.Node) => void, sources: Sources): Loose[] {
  const found: Loose[] = [];
  const visit = (node: ts.Node, inLoop: boolean): void => {
    if (ts.isFunctionLike(node)) return nested(node);
    const looped = inLoop || ts.isIterationStatement(node, false);
    const operand = waitedFor(node, fn, sources);
    if (operand !== 'nothing') found.push({ node, operand, inLoop: looped });
    ts.forEachChild(node, (child) => visit(child, looped));
  };
  ts.forEachChild(fn, (child) => {
    if (ts.isDecorator(child)) return;
    if (isAsync(fn) && ts.isArrowFunction(fn) && child === fn.body && isPromise(child, sources))
      found.push({ node: child, operand: child as ts.Expression, inLoop: false });
    visit(child, false);
  });
  return found;
}

/** `undefined`: a wait that no call could hold. */
function waitedFor(node: ts.Node, fn: ts.Node, sources: Sources): ts.Expression | undefined | 'nothing' {
  if (ts.isAwaitExpression(node)) return node.expression;
  if (ts.isReturnStatement(node) && node.expression && isAsync(fn) && isPromise(node.expression, sources))
    return node.expression;
  if (ts.isForOfStatement(node) && node.awaitModifier) return undefined;
  if (
    ts.isVariableDeclarationList(node) &&
    Number(node.flags & ts.NodeFlags.AwaitUsing) === Number(ts.NodeFlags.AwaitUsing)
  )
    return undefined;
  if (ts.isYieldExpression(node) && isAsync(fn)) return undefined;
  if (ts.isPropertyAccessExpression(node) && /^(then|catch|finally)$/.test(node.name.text)) {
    if (isPromise(node.expression, sources)) return undefined;
  }
  return 'nothing';
}

function isPromise(node: ts.Node, { checker }: Sources): boolean {
  return checker.getPropertyOfType(checker.getTypeAtLocation(node), 'then') !== undefined;
}

/** The waits that hold what is waited for, or `undefined` when something of it is not held. */
function holders(expression: ts.Expression, sources: Sources): readonly string[] | undefined {
  const operand = bare(expression);
  if (ts.isAwaitExpression(operand)) return holders(operand.expression, sources);
  if (ts.isConditionalExpression(operand)) return all([operand.whenTrue, operand.whenFalse], sources);
  if (!ts.isCallExpression(operand)) return undefined;
  if (COMBINATORS.includes(operand.expression.getText())) return ofCombined(operand.arguments[0], sources);
  const callee = calleeOf(operand, sources);
  if (!callee) return undefined;
  if (ts.isVariableDeclaration(callee)) return wrapped(callee.initializer);
  if (!ts.isMethodDeclaration(callee) && !ts.isMethodSignature(callee)) return wrapped(callee.parent);
  const owner = (callee.parent as ts.ClassDeclaration).name?.text ?? '';
  if (HELD_BY_THE_STORAGE.includes(owner)) return ['storage'];
  const behind = [callee, ...implementationsOf(callee, sources)].filter(
    (each) => 'body' in each && each.body,
  );
  const names = behind.map(pointsOfMethod);
  return names.length > 0 && names.every((name) => name !== undefined) ? names : undefined;
}

/** Without brackets and assertions. */
function bare(expression: ts.Expression): ts.Expression {
  const wrapper =
    ts.isParenthesizedExpression(expression) ||
    ts.isAsExpression(expression) ||
    ts.isNonNullExpression(expression) ||
    ts.isSatisfiesExpression(expression);
  return wrapper ? bare(expression.expression) : expression;
}

function ofCombined(argument: ts.Expression | undefined, sources: Sources): readonly string[] | undefined {
  if (argument && ts.isArrayLiteralExpression(argument)) return all(argument.elements, sources);
  const mapped = argument && ts.isCallExpression(argument) ? argument.arguments[0] : undefined;
  if (!mapped || !ts.isArrowFunction(mapped) || ts.isBlock(mapped.body)) return undefined;
  return holders(mapped.body, sources);
}

function all(expressions: readonly ts.Expression[], sources: Sources): readonly string[] | undefined {
  const held = expressions.map((each) => holders(each, sources));
  return held.every((each) => each !== undefined) ? held.flat() : undefined;
}

/** `const send = withCrashPoints('send', …)` */
function wrapped(node: ts.Node | undefined): readonly string[] | undefined {
  if (!node || !ts.isCallExpression(node) || node.expression.getText() !== 'withCrashPoints')
    return undefined;
  const [name] = node.arguments;
  return name && ts.isStringLiteral(name) ? [name.text] : undefined;
}

/** The only wait of a method that has points begins after the one before, and ends before the one after. */
function alone(fn: ts.Node, waits: readonly Loose[]): readonly string[] | undefined {
  const name = pointsOfMethod(fn);
  return name !== undefined && waits.length === 1 ? [name] : undefined;
}

/** An `async` method of a class with `@CrashPoints()`. */
function pointsOfMethod(node: ts.Node): string | undefined {
  if (!ts.isMethodDeclaration(node) || !isAsync(node) || !ts.isClassDeclaration(node.parent))
    return undefined;
  const decorated = ts
    .getDecorators(node.parent)
    ?.some(({ expression }) => expression.getText() === 'CrashPoints()');
  return decorated ? `${node.parent.name?.text}.${node.name.getText()}` : undefined;
}

/** Every point of the apps' own classes, also off the path, as CRASH_AT names them. */
export function pointsInTheSources({ files }: Sources): string[] {
  return files
    .flatMap((file) => file.statements.filter(ts.isClassDeclaration))
    .flatMap(({ members }) => members.map(pointsOfMethod))
    .filter((name) => name !== undefined && !NEST_HOOK.test(name))
    .flatMap((name) => [`${name}:before`, `${name}:after`]);
}

const NEST_HOOK = /\.(onModule|onApplication|beforeApplication)/;
