/**
 * Which module a definition belongs to.
 *
 * The name of a definition is that of its Go type: `io.k8s.api.rbac.v1.Role`. It does not hold the group, which is
 * `rbac.authorization.k8s.io`, so the kinds among the definitions of one package vote for their group-version.
 */
import type { Definition } from "../normalise/Schema.ts"

/** Where the definitions of one package go. */
export interface Target {
  /** `rbac/v1`. */
  readonly path: string
  /** `rbac.authorization.k8s.io/v1`, `v1`; undefined for a package without kinds. */
  readonly apiVersion: string | undefined
  readonly reference: string | undefined
}

/** The package of a definition: its name up to the last dot. */
export const packageOf = (name: string): string => name.slice(0, Math.max(0, name.lastIndexOf(".")))

/** `v1` for the core group, `group/version` for the others. */
export const apiVersion = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === "" ? version : `${group}/${version}`

/**
 * The module of every package.
 *
 * Groups of Kubernetes itself go by the name of their package, which is what Go programs import: `core/v1`, `apps/v1`,
 * `rbac/v1`. It is the first label of the group, but for `internal.apiserver.k8s.io`, which is `apiserverinternal`.
 * Other groups go by their full name, and so do groups of Kubernetes that would share a path.
 */
export const targets = (definitions: Iterable<Definition>): ReadonlyMap<string, Target> => {
  const ballots = new Map<string, Array<string>>()
  for (const { kinds, name } of definitions) {
    const votes = ballots.get(packageOf(name)) ?? []
    ballots.set(packageOf(name), votes)
    // A type that several groups register (DeleteOptions) says nothing of its package.
    const [kind, second] = kinds
    if (kind !== undefined && second === undefined) votes.push(apiVersion(kind))
  }
  const elected = [...ballots].map(([name, votes]) => [name, winner(votes)] as const)
  const short = elected.map(([name, apiVersion]) => shortPath(name) ?? fullPath(name, apiVersion))
  return new Map(elected.map(([name, apiVersion], i) => {
    const path = short[i]
    const unique = path !== undefined && short.filter((other) => other === path).length === 1
    return [name, { path: unique ? path : fullPath(name, apiVersion), apiVersion, reference: reference(name) }]
  }))
}

const winner = (votes: ReadonlyArray<string>): string | undefined => {
  const count = (vote: string) => votes.filter((other) => other === vote).length
  return votes.toSorted((a, b) => count(b) - count(a) || (a < b ? -1 : 1))[0]
}

const isKubernetes = (name: string): boolean => /^io\.k8s\.(?:api|[a-z-]+\.pkg)\./.test(name)

const shortPath = (name: string): string | undefined => isKubernetes(name) ? twoLevels(name, 2) : undefined

const fullPath = (name: string, apiVersion: string | undefined): string =>
  apiVersion === undefined ? twoLevels(name, Infinity) : apiVersion.includes("/") ? apiVersion : `core/${apiVersion}`

/** The last labels of a package as a folder and a module: all modules are equally deep, as the runtime is beside them. */
const twoLevels = (name: string, labels: number): string => {
  const all = name.split(".")
  const version = all.pop() ?? ""
  return `${all.slice(Math.max(0, all.length + 1 - labels)).join(".") || "types"}/${version || "types"}`
}

const reference = (name: string): string | undefined =>
  isKubernetes(name) ? `https://pkg.go.dev/k8s.io/${name.slice("io.k8s.".length).replaceAll(".", "/")}` : undefined
