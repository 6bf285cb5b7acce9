/**
 * The documents that a server lists under `/openapi/v3`, one for each group-version.
 *
 * The address of a document holds the hash of its content, so what was fetched once need not be fetched again.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { CodegenError } from "../CodegenError.ts"
import { object, text } from "../internal/json.ts"
import { by } from "../internal/order.ts"
import * as Document from "./Document.ts"

/** Where documents come from. */
export interface Server {
  /** What it is called in messages and in the lock file. */
  readonly name: string
  /** Its address: documents in the cache are used for the same address only. */
  readonly address: string
  /** The body of a path below the server's address, which may have a query. */
  readonly get: (path: string) => Effect.Effect<Uint8Array, CodegenError>
}

/** How to fetch. */
export interface Options {
  /** Where documents are kept by their hash; nowhere unless told. */
  readonly cache?: string | undefined
  /** Whether the group-version of a path (`apis/apps/v1`) is wanted. */
  readonly wanted?: ((path: string) => boolean) | undefined
}

/** What was fetched. */
export interface Fetched {
  readonly documents: ReadonlyArray<Document.Document>
  /** How many of them were in the cache. */
  readonly cached: number
}

const concurrency = 8

/**
 * Fetches the documents of resources that an index lists. One that has another address when its turn comes, because a
 * definition was installed meanwhile, is fetched from there.
 *
 * Fails with `InvalidDocument` when the answer is no index, and as `get` does.
 */
export const fetch = Effect.fnUntraced(function*(server: Server, options: Options = {}) {
  const entries = (yield* entriesOf(server)).filter(({ path }) => options.wanted?.(path) ?? true)
  const one = ({ path, url }: Entry) => fetchOne(server, `${server.name} ${path}`, url, options.cache)
  const all = yield* Effect.forEach(
    entries,
    (entry) =>
      Effect.catch(one(entry), (error) =>
        Effect.gen(function*() {
          // Servers redirect from an old hash, and a client of Kubernetes follows no redirects.
          const now = (yield* Effect.mapError(entriesOf(server), () => error)).find(({ path }) => path === entry.path)
          return yield* now === undefined || now.url === entry.url ? Effect.fail(error) : one(now)
        })),
    { concurrency }
  )
  const result: Fetched = {
    documents: all.map(({ document }) => document),
    cached: all.filter(({ cached }) => cached).length
  }
  return result
})

interface Entry {
  /** `apis/apps/v1` */
  readonly path: string
  /** With the hash of the content, as far as the server says it. */
  readonly url: string
}

const entriesOf = Effect.fnUntraced(function*(server: Server) {
  const index = yield* Document.make(`${server.name} /openapi/v3`, yield* server.get("/openapi/v3"))
  const entries: ReadonlyArray<Entry> = Object.entries(object(index.json.paths))
    .map(([path, entry]) => ({ path, url: text(object(entry).serverRelativeURL) }))
    // The others list groups and versions.
    .filter(({ path }) => /^(?:api\/[^/]+|apis\/[^/]+\/[^/]+)$/.test(path))
    .sort(by(({ path }) => path))
  const wrong = entries.find(({ url }) => !url.startsWith("/"))
  if (Object.keys(object(index.json.paths)).length === 0 || wrong !== undefined) {
    return yield* Document.invalid(
      index.name,
      "is not an index of OpenAPI 3 documents; servers have it since Kubernetes 1.24"
    )
  }
  return entries
})

const fetchOne = Effect.fnUntraced(function*(server: Server, name: string, url: string, cache: string | undefined) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const digest = yield* Digest.Digest
  // Servers are trusted for themselves only, so the address is a part of the key.
  const key = yield* digest.digestHex(Digest.sha256, new TextEncoder().encode(`${server.address} ${url}`))
  const file = cache === undefined || !/[?&]hash=./.test(url) ? undefined : path.join(cache, `${key}.json`)
  const known = file === undefined
    ? Option.none()
    : yield* Effect.option(Effect.flatMap(fs.readFile(file), (bytes) => Document.make(name, bytes)))
  if (Option.isSome(known)) return { document: known.value, cached: true }
  const bytes = yield* server.get(url)
  const document = yield* Document.make(name, bytes)
  if (file !== undefined) {
    // A cache that cannot be written is none.
    yield* Effect.ignore(Effect.andThen(
      fs.makeDirectory(path.dirname(file), { recursive: true }),
      Effect.andThen(fs.writeFile(`${file}.part`, bytes), fs.rename(`${file}.part`, file))
    ))
  }
  return { document, cached: false }
})
