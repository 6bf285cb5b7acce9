import * as BuiltIns from "@effect-k8s/codegen/BuiltIns"
import type * as Options from "@effect-k8s/core/ApiOptions"
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const documents = Path.resolve(import.meta.dirname, "../../..", BuiltIns.documents)
const present = Fs.existsSync(documents)
const missing = present ? "" : ` (SKIPPED: the OpenAPI documents are not at ${documents})`

/** The names of all options of a verb: the compiler sees to it that none is missing. */
const names = <O>(all: { readonly [K in keyof Required<O>]: true }): ReadonlyArray<string> => Object.keys(all)

const selection = names<Options.Selection>({ labelSelector: true, fieldSelector: true })
const write = names<Options.WriteOptions>({ dryRun: true, fieldManager: true, fieldValidation: true })
const list = names<Options.ListOptions>({
  labelSelector: true,
  fieldSelector: true,
  resourceVersion: true,
  resourceVersionMatch: true,
  limit: true,
  continue: true,
  timeoutSeconds: true,
  shardSelector: true
})
const watch = names<Options.WatchOptions>({
  labelSelector: true,
  fieldSelector: true,
  resourceVersion: true,
  resourceVersionMatch: true,
  allowWatchBookmarks: true,
  sendInitialEvents: true,
  shardSelector: true,
  timeoutSeconds: true
})
const apply = names<Options.ApplyOptions>({ dryRun: true, fieldManager: true, fieldValidation: true, force: true })
const remove = names<Options.DeleteOptions>({
  gracePeriodSeconds: true,
  propagationPolicy: true,
  preconditions: true,
  dryRun: true,
  ignoreStoreReadErrorWithClusterBreakingPotential: true
})
const log = names<Options.LogOptions>({
  container: true,
  follow: true,
  previous: true,
  timestamps: true,
  sinceSeconds: true,
  sinceTime: true,
  tailLines: true,
  limitBytes: true,
  stream: true,
  insecureSkipTLSVerifyBackend: true
})
const get = names<Options.GetOptions>({ resourceVersion: true })

interface Action {
  readonly action: string
  readonly offered: ReadonlyArray<string>
  /** What the documents do not say, and servers know. */
  readonly silent?: ReadonlyArray<string>
  /** What is not for callers: what the methods themselves say, and what has no use here. */
  readonly withheld?: ReadonlyArray<string>
}

// Old, and replaced by `propagationPolicy`.
const orphan = "orphanDependents"

const actions: ReadonlyArray<Action> = [
  { action: "get", offered: get, silent: ["resourceVersion"] },
  { action: "list", offered: [...list, ...watch], withheld: ["watch"] },
  { action: "post", offered: write },
  { action: "put", offered: write },
  { action: "patch", offered: [...write, ...apply] },
  { action: "delete", offered: remove, silent: ["preconditions"], withheld: [orphan] },
  {
    action: "deletecollection",
    offered: [...selection, ...remove],
    silent: ["preconditions"],
    // Those of the list that the server makes first: which objects go is for selectors to say.
    withheld: [orphan, ...list.filter((name) => !selection.includes(name)), "sendInitialEvents"]
  },
  { action: "log", offered: log, silent: ["sinceTime"] }
]

interface Operation {
  readonly "x-kubernetes-action"?: string
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string }>
}

/** The sets of parameters in the queries of each action, without `pretty`. */
const sets = (): ReadonlyMap<string, ReadonlySet<string>> => {
  const found = new Map<string, Set<string>>()
  for (const file of Fs.globSync(Path.join(documents, "v3", "*__v*.json"))) {
    const { paths } = JSON.parse(Fs.readFileSync(file, "utf8")) as {
      readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>> & Pick<Operation, "parameters">>>
    }
    for (const [path, { parameters: shared = [], ...operations }] of Object.entries(paths)) {
      if (path.includes("/watch/")) continue
      for (const { parameters = [], "x-kubernetes-action": action } of Object.values(operations)) {
        if (action === undefined || action === "connect") continue
        const key = path.endsWith("/log") ? "log" : action
        const query = [...shared, ...parameters].filter((one) => one.in === "query" && one.name !== "pretty").map((
          { name }
        ) => name)
        found.set(key, (found.get(key) ?? new Set()).add(query.sort().join(" ")))
      }
    }
  }
  return found
}

describe.skipIf(!present)(`the options of the API${missing}`, () => {
  const found = present ? sets() : new Map<string, ReadonlySet<string>>()

  it("are those of all actions that there are", () => {
    assert.deepStrictEqual([...found.keys()].sort(), actions.map(({ action }) => action).sort())
  })

  for (const { action, offered, silent = [], withheld = [] } of actions) {
    it(`are one set for ${action}, whatever the resource: that of the documents`, () => {
      const expected = [...new Set([...offered, ...withheld])].filter((name) => !silent.includes(name)).sort()
      assert.deepStrictEqual([...found.get(action) ?? []], [expected.join(" ")])
    })
  }
})
