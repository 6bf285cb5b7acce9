/**
 * Who may do what: rules in the manner of RBAC, and the refusals of a real server.
 */
import * as Failure from "../store/Failure.ts"
import type { RequestInfo } from "./RequestInfo.ts"

/** Somebody the server knows. */
export interface UserInfo {
  readonly name: string
  readonly uid?: string | undefined
  readonly groups: ReadonlyArray<string>
  readonly extra?: Readonly<Record<string, ReadonlyArray<string>>> | undefined
}

/** What is allowed. `*` stands for everything, in each list. */
export interface Rule {
  readonly verbs: ReadonlyArray<string>
  /** `pods`, `pods/exec`, `*`. */
  readonly resources?: ReadonlyArray<string> | undefined
  /** The core group (`""`) by default. */
  readonly apiGroups?: ReadonlyArray<string> | undefined
  readonly resourceNames?: ReadonlyArray<string> | undefined
  /** All by default, and the cluster scope. */
  readonly namespaces?: ReadonlyArray<string> | undefined
  /** Paths that are no resources: `/metrics`, `/apis/*`. */
  readonly nonResourceURLs?: ReadonlyArray<string> | undefined
}

/** What somebody wants to do. */
export interface Attributes {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource?: string | undefined
  readonly namespace?: string | undefined
  readonly name?: string | undefined
}

/** Decides. */
export interface Authorizer {
  readonly isAllowed: (user: UserInfo, attributes: Attributes) => boolean
  /** A refusal, or nothing. */
  readonly check: (user: UserInfo, info: RequestInfo) => Failure.Failure | undefined
  readonly rulesOf: (user: UserInfo) => ReadonlyArray<Rule>
}

const everything: ReadonlyArray<Rule> = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] }
]

// What everybody may who is known: discovery, and questions about oneself.
const basic: ReadonlyArray<Rule> = [
  {
    verbs: ["create"],
    apiGroups: ["authorization.k8s.io"],
    resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
  },
  { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
  {
    verbs: ["get"],
    nonResourceURLs: [
      "/api",
      "/api/*",
      "/apis",
      "/apis/*",
      "/healthz",
      "/livez",
      "/readyz",
      "/openapi",
      "/openapi/*",
      "/version"
    ]
  }
]

const has = (list: ReadonlyArray<string> | undefined, value: string): boolean =>
  list !== undefined && (list.includes("*") || list.includes(value))

const allowsResource = (rule: Rule, attributes: Attributes): boolean => {
  const { group, name, namespace, resource, subresource } = attributes
  const full = subresource === undefined ? resource : `${resource}/${subresource}`
  return has(rule.verbs, attributes.verb) &&
    has(rule.apiGroups ?? [""], group) &&
    (has(rule.resources, full) || subresource !== undefined && (rule.resources ?? []).includes(`*/${subresource}`)) &&
    (rule.resourceNames === undefined || name !== undefined && has(rule.resourceNames, name)) &&
    (rule.namespaces === undefined || namespace !== undefined && has(rule.namespaces, namespace))
}

const allowsPath = (rule: Rule, verb: string, path: string): boolean =>
  has(rule.verbs, verb) &&
  (rule.nonResourceURLs ?? []).some((allowed) =>
    allowed === path || allowed.endsWith("*") && path.startsWith(allowed.slice(0, -1))
  )

/** The refusal of a real server, word for word. */
export const refusal = (user: UserInfo, attributes: Attributes): Failure.Failure => {
  const { group, name = "", namespace, resource, subresource, verb } = attributes
  const row = { group, plural: resource }
  const full = subresource === undefined ? resource : `${resource}/${subresource}`
  const what = `${Failure.qualified(row)}${name === "" ? "" : ` "${name}"`}`
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`
  return Failure.forbidden(
    row,
    name,
    `${what} is forbidden: User "${user.name}" cannot ${verb} resource "${full}" in API group "${group}" ${where}`
  )
}

/** Decides by the rules of each user, by name. Members of `system:masters` may everything. */
export const make = (rules: ReadonlyMap<string, ReadonlyArray<Rule>>): Authorizer => {
  const rulesOf = (user: UserInfo): ReadonlyArray<Rule> =>
    user.groups.includes("system:masters") ? [...basic, ...everything] : [...basic, ...rules.get(user.name) ?? []]
  const isAllowed = (user: UserInfo, attributes: Attributes): boolean =>
    rulesOf(user).some((rule) => allowsResource(rule, attributes))
  return {
    isAllowed,
    rulesOf,
    check: (user, info) => {
      if (info._tag === "Resource") return isAllowed(user, info) ? undefined : refusal(user, info)
      return rulesOf(user).some((rule) => allowsPath(rule, info.verb, info.path))
        ? undefined
        : Failure.forbidden(undefined, "", `forbidden: User "${user.name}" cannot ${info.verb} path "${info.path}"`)
    }
  }
}
