/**
 * Rules of this repository for oxlint: `imports` (see `Arrows`) and `runs`. Tests of them: `scripts/lint.test.ts`.
 */
import * as Arrows from "./Arrows.ts"

// What is used here of the syntax tree (ESTree) and of the rules' interface (that of ESLint).
interface Node {
  readonly type: string
  readonly name?: string
  readonly value?: unknown
}
interface Import extends Node {
  readonly source: Node | null
  readonly specifiers?: ReadonlyArray<Node & { readonly imported?: Node; readonly local: Node }>
}
interface Member extends Node {
  readonly object: Node
  readonly property: Node
  readonly computed: boolean
}
interface Declarator extends Node {
  readonly id: Node & { readonly properties?: ReadonlyArray<Node & { readonly key?: Node }> }
  readonly init: Node | null
}
interface Context {
  readonly filename: string
  readonly report: (problem: { readonly node: Node; readonly message: string }) => void
}
interface Rule {
  readonly meta: { readonly type: "problem" }
  readonly create: (context: Context) => Readonly<Record<string, (node: never) => void>>
}

const textOf = (node: Node | null | undefined): string | undefined =>
  typeof node?.value === "string" ? node.value : node?.name

const imports: Rule = {
  meta: { type: "problem" },
  create: (context) => {
    const check = (source: Node | null): void => {
      if (source === null || typeof source.value !== "string") return
      const message = Arrows.problem(context.filename, source.value)
      if (message !== undefined) context.report({ node: source, message })
    }
    const bySource = (node: Import): void => check(node.source)
    return {
      ImportDeclaration: bySource,
      ExportNamedDeclaration: bySource,
      ExportAllDeclaration: bySource,
      ImportExpression: bySource,
      TSImportType: bySource,
      TSExternalModuleReference: (node: Node & { readonly expression: Node }) => check(node.expression)
    }
  }
}

const runs: Rule = {
  meta: { type: "problem" },
  create: (context) => {
    /** The names that the module has here. */
    const modules = new Set<string>()
    const check = (node: Node, name: string | undefined): void => {
      if (name === undefined || !Arrows.runsEffects(name)) return
      context.report({
        node,
        message: `${name}: sources never run effects; fork with a captured context (runForkWith)`
      })
    }
    const fromModule = (node: Import): void => {
      if (textOf(node.source) !== "effect/Effect") return
      for (const specifier of node.specifiers ?? []) {
        if (specifier.type === "ImportNamespaceSpecifier") modules.add(textOf(specifier.local) ?? "")
        else check(specifier, textOf(specifier.imported ?? specifier.local))
      }
    }
    const isModule = (node: Node | null): boolean => node?.type === "Identifier" && modules.has(node.name ?? "")
    return {
      ImportDeclaration: fromModule,
      ExportNamedDeclaration: fromModule,
      MemberExpression: (node: Member) => {
        if (isModule(node.object) && (!node.computed || node.property.type === "Literal")) {
          check(node, textOf(node.property))
        }
      },
      VariableDeclarator: (node: Declarator) => {
        if (isModule(node.init)) {
          for (const property of node.id.properties ?? []) {
            check(property, textOf(property.key))
          }
        }
      }
    }
  }
}

export default { meta: { name: "effect-k8s" }, rules: { imports, runs } }
