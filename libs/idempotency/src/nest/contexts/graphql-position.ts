/** What we use of `GraphQLResolveInfo` (graphql 16), described so that the package stays optional. */
export interface ResolveInfo {
  readonly fieldName: string;
  readonly parentType: { readonly name: string };
  readonly path: ResponsePath;
  readonly schema: {
    getType(name: string): object | undefined | null;
    getPossibleTypes(type: never): readonly { readonly name: string }[];
  };
  readonly fragments: Readonly<Record<string, FragmentNode | undefined>>;
  readonly operation: { readonly selectionSet: SelectionSet };
  readonly variableValues: Readonly<Record<string, unknown>>;
}

interface ResponsePath {
  readonly prev: ResponsePath | undefined;
  readonly key: string | number;
  readonly typename: string | undefined;
}

interface SelectionSet {
  readonly selections: readonly Selection[];
}

interface FragmentNode {
  readonly typeCondition?: { readonly name: { readonly value: string } } | undefined;
  readonly selectionSet: SelectionSet;
}

interface FieldNode {
  readonly kind: 'Field';
  readonly name: { readonly value: string };
  readonly alias?: { readonly value: string } | undefined;
  readonly selectionSet?: SelectionSet | undefined;
  readonly directives?: readonly Directive[] | undefined;
}

type Selection =
  | FieldNode
  | (FragmentNode & { readonly kind: 'InlineFragment'; readonly directives?: readonly Directive[] })
  | {
      readonly kind: 'FragmentSpread';
      readonly name: { readonly value: string };
      readonly directives?: readonly Directive[];
    };

interface Directive {
  readonly name: { readonly value: string };
  readonly arguments?: readonly {
    readonly name: { readonly value: string };
    readonly value: {
      readonly kind: string;
      readonly value?: unknown;
      readonly name?: { readonly value: string };
    };
  }[];
}

/**
 * Which of the fields of one name in a document this is, never by its alias: 0-based among those that are executed, in the
 * document's order, after merging. Empty for the first of a root type; for a field below it, the whole way to it.
 */
export function positionOf(info: ResolveInfo): string {
  const keys: ResponsePath[] = [];
  for (let at: ResponsePath | undefined = info.path; at !== undefined; at = at.prev) keys.unshift(at);
  let selections: readonly SelectionSet[] = [info.operation.selectionSet];
  const steps: string[] = [];
  for (const at of keys) {
    const { key } = at;
    if (typeof key === 'number') {
      steps.push(String(key));
      continue;
    }
    // What is compiled (`jit` of Mercurius) knows the type of the last one alone.
    const type = at === info.path ? info.parentType.name : at.typename;
    const fields = collect(info, selections, type);
    const nodes = fields.get(key) ?? [];
    const name = nodes[0]?.name.value ?? info.fieldName;
    const before = [...fields].slice(0, [...fields.keys()].indexOf(key));
    const index = before.filter(([, [node]]) => node?.name.value === name).length;
    steps.push(keys.length === 1 ? (index === 0 ? '' : String(index)) : `${name}:${index}`);
    selections = nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
  }
  return steps.join('/');
}

/**
 * The fields that are executed on a type, by the name they get in the response, in the order of execution; for an unknown type those
 * of any that it may be.
 */
function collect(
  info: ResolveInfo,
  sets: readonly SelectionSet[],
  type: string | undefined,
): Map<string, FieldNode[]> {
  const fields = new Map<string, FieldNode[]>();
  const spread = new Set<string>();
  const visit = ({ selections }: SelectionSet): void => {
    for (const selection of selections) {
      if (!isIncluded(info, selection.directives)) continue;
      if (selection.kind === 'Field') {
        const key = selection.alias?.value ?? selection.name.value;
        fields.set(key, [...(fields.get(key) ?? []), selection]);
      } else if (selection.kind === 'InlineFragment') {
        if (applies(info, selection, type)) visit(selection.selectionSet);
      } else if (!spread.has(selection.name.value)) {
        spread.add(selection.name.value);
        const fragment = info.fragments[selection.name.value];
        if (fragment !== undefined && applies(info, fragment, type)) visit(fragment.selectionSet);
      }
    }
  };
  for (const set of sets) visit(set);
  return fields;
}

function applies(
  { schema }: ResolveInfo,
  { typeCondition }: FragmentNode,
  type: string | undefined,
): boolean {
  if (typeCondition === undefined || type === undefined || typeCondition.name.value === type) return true;
  const condition = schema.getType(typeCondition.name.value);
  const isAbstract = condition && ('getTypes' in condition || 'resolveType' in condition);
  return isAbstract ? schema.getPossibleTypes(condition as never).some(({ name }) => name === type) : false;
}

function isIncluded(info: ResolveInfo, directives: readonly Directive[] | undefined): boolean {
  const says = (name: string): unknown => {
    const value = directives
      ?.find((directive) => directive.name.value === name)
      ?.arguments?.find((argument) => argument.name.value === 'if')?.value;
    return value?.kind === 'Variable' ? info.variableValues[value.name?.value ?? ''] : value?.value;
  };
  return says('skip') !== true && says('include') !== false;
}
