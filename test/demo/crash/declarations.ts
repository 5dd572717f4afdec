import ts from 'typescript';
import type { Sources } from './sources.js';

/** What a name means, behind imports. */
export function resolved(name: ts.Node, { checker }: Sources): ts.Symbol | undefined {
  const symbol = checker.getSymbolAtLocation(name);
  return symbol && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

/** The methods of the apps' classes that stand behind a method of an interface or of a class that they extend. */
export function implementationsOf(
  method: ts.MethodSignature | ts.MethodDeclaration,
  sources: Sources,
): ts.MethodDeclaration[] {
  const owner = sources.checker.getSymbolAtLocation(
    (method.parent as ts.ClassDeclaration).name ?? method.parent,
  );
  const name = method.name.getText();
  if (!owner) return [];
  return sources.files
    .flatMap((file) => file.statements.filter(ts.isClassDeclaration))
    .filter((declaration) => inherits(declaration, owner, sources))
    .flatMap(({ members }) => members.filter(ts.isMethodDeclaration))
    .filter((each) => each.name.getText() === name);
}

function inherits(declaration: ts.ClassDeclaration, owner: ts.Symbol, sources: Sources): boolean {
  const types = declaration.heritageClauses?.flatMap(({ types: each }) => [...each]) ?? [];
  return types.some(({ expression }) => {
    const symbol = resolved(expression, sources);
    if (symbol === owner) return true;
    return (symbol?.declarations ?? []).some(
      (each) => ts.isClassDeclaration(each) && inherits(each, owner, sources),
    );
  });
}

/** The method or function that a call leads to. */
export function calleeOf(call: ts.CallExpression, sources: Sources): ts.Declaration | undefined {
  const declaration = sources.checker.getResolvedSignature(call)?.declaration;
  if (declaration && !ts.isFunctionTypeNode(declaration) && declaration.kind !== ts.SyntaxKind.JSDocSignature)
    return declaration;
  return resolved(
    ts.isPropertyAccessExpression(call.expression) ? call.expression.name : call.expression,
    sources,
  )?.valueDeclaration;
}

export const isAsync = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node) &&
  (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
