/**
 * What the sources of each package may import, so that arrows point one way:
 * `effect <- core <- channels <- {node, deno, testing}`. All else is forbidden: a list of what is not allowed has holes.
 */
import { isBuiltin } from "node:module"
import { posix } from "node:path"

/** A folder, and what its modules may import besides each other. */
interface Room {
  readonly folder: string
  readonly may: ReadonlyArray<RegExp>
  /** The same in words. */
  readonly rule: string
}

// Modules begin with a capital, barrels and folders do not.
const effect = /^effect\/(?!dist\/|src\/|internal\/)(?:[a-z][\w-]*\/)*[A-Z]\w*$/
const platformNode = /^@effect\/platform-node\/[A-Z]\w*$/
const platformNodeShared = /^@effect\/platform-node-shared\/[A-Z]\w*$/
const core = /^@effect-k8s\/core\/(?!src\/|dist\/|internal\/)/
const channels = /^@effect-k8s\/channels\/(?!src\/|dist\/|internal\/)/
const node = /^@effect-k8s\/node\/(?!src\/|dist\/|internal\/)/
const builtin = /^node:/

// The first that a file is in counts.
const rooms: ReadonlyArray<Room> = [
  {
    folder: "channels/src/protocol",
    may: [],
    rule: "protocol modules are pure: no Effect, no IO, nothing outside their folder"
  },
  { folder: "core/src", may: [effect], rule: "core may import effect alone, and knows no runtime" },
  { folder: "channels/src", may: [effect, core], rule: "channels may import core and effect, and know no runtime" },
  {
    folder: "node/src",
    may: [effect, core, channels, platformNode, platformNodeShared, builtin],
    rule: "node may import core, channels, effect and the platform"
  },
  {
    folder: "deno/src",
    // Deno's own TLS has no client certificates over a stream, no server name and no way around verification.
    may: [effect, core, channels, platformNodeShared, /^node:(?:async_hooks|net|stream|tls)$/],
    rule: "deno may import core, channels, effect and what of Node there is no other way for"
  },
  {
    folder: "testing/src",
    may: [effect, core, channels, platformNodeShared, builtin, /^(?:asn1js|pkijs|@lydell\/node-pty)$/],
    rule: "testing may import core and channels, and is given an adapter"
  },
  {
    folder: "codegen/src",
    may: [effect, core, node, platformNode, platformNodeShared, builtin, /^(?:openapi-typescript|typescript)$/],
    rule: "codegen emits code that imports core, and may use node to reach a cluster"
  }
]

const isIn = (folder: string, path: string): boolean => path.startsWith(`${folder}/`)

/** Why a file may not import this, as a sentence; `undefined` if it may, or is no source of a package. */
export const problem = (file: string, specifier: string): string | undefined => {
  const path = /^(?:.*\/)?packages\/([^/]+\/src\/.+)$/.exec(file.replaceAll("\\", "/"))?.[1]
  const room = path === undefined ? undefined : rooms.find(({ folder }) => isIn(folder, path))
  if (path === undefined || room === undefined) return undefined
  if (/^\.{1,2}(?:\/|$)/.test(specifier)) {
    return isIn(room.folder, posix.join(posix.dirname(path), specifier))
      ? undefined
      : `"${specifier}" leaves packages/${room.folder}: ${room.rule}`
  }
  if (room.may.some((pattern) => pattern.test(specifier))) return undefined
  if (room.may.includes(builtin) && isBuiltin(specifier)) return `write "node:${specifier}"`
  const isBarrel = /^(?:effect|@effect\/[\w-]+)(?:\/|$)/.test(specifier) &&
    room.may.some((pattern) =>
      pattern.test(`${specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")}/Module`)
    )
  return isBarrel
    ? `"${specifier}" is a barrel or internal: import the module (effect/Effect)`
    : `"${specifier}" cannot be imported here: ${room.rule}`
}

/** Whether an export of `effect/Effect` runs effects. Sources never do; those that must fork with a captured context. */
export const runsEffects = (name: string): boolean => /^run[A-Z]/.test(name) && name !== "runForkWith"
