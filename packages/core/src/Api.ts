/**
 * Typed access to the objects of one kind.
 *
 * Objects are plain JSON: what this version does not know survives reading and writing back, and nothing is decoded by a
 * schema. The row of the kind decides which methods there are: a verb or subresource that the kind lacks does not
 * type-check.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type * as Options from "./ApiOptions.ts"
import * as Request from "./internal/apiRequest.ts"
import { KubeClient, type KubeRequest } from "./KubeClient.ts"
import * as KubeError from "./KubeError.ts"
import * as Resource from "./Resource.ts"
import * as Status from "./Status.ts"

type Result<A> = Effect.Effect<A, KubeError.KubeError, KubeClient>

/** The three kinds of patch; each method sends its content type. */
export interface PatchMethods<Out, In> {
  readonly json: (
    name: string,
    operations: ReadonlyArray<Options.JsonPatchOperation>,
    options?: Options.WriteOptions
  ) => Result<Out>
  readonly merge: (name: string, patch: Options.MergePatch<In>, options?: Options.WriteOptions) => Result<Out>
  /** Built-in kinds only. */
  readonly strategic: (name: string, patch: Options.StrategicPatch<In>, options?: Options.WriteOptions) => Result<Out>
}

/** The patches that the server takes of a kind. */
export type Patch<Out, In, Strategic extends boolean> = Strategic extends true ? PatchMethods<Out, In>
  : Omit<PatchMethods<Out, In>, "strategic">

/** Every method a kind can have. */
export interface Methods<R extends Resource.ResourceType> {
  /** Reads one object; fails with `NotFound`. */
  readonly get: (name: string, options?: Options.GetOptions) => Result<R["object"]>
  /** Reads one object, or nothing if there is none. */
  readonly getOption: (name: string, options?: Options.GetOptions) => Result<Option.Option<R["object"]>>
  /** One page of the list. */
  readonly list: (options?: Options.ListOptions) => Result<Resource.List<R["object"]>>
  /** The whole list, page by page. A token that expires midway fails with `Expired`. */
  readonly stream: (options?: Options.StreamOptions) => Stream.Stream<R["object"], KubeError.KubeError, KubeClient>
  /**
   * The events of one watch request, as the server sends them. It ends when the server ends it, and fails when the
   * connection is lost or the server sends an error (`Expired`: list again).
   */
  readonly watch: (
    options?: Options.WatchOptions
  ) => Stream.Stream<Options.WatchEvent<R["object"]>, KubeError.KubeError, KubeClient>
  readonly create: (object: R["input"], options?: Options.WriteOptions) => Result<R["object"]>
  /** Replaces the whole object; fails with `Conflict` when its `resourceVersion` is not the latest. */
  readonly replace: (name: string, object: R["input"], options?: Options.WriteOptions) => Result<R["object"]>
  readonly patch: Patch<R["object"], R["input"], R["strategic"]>
  /** Server-side apply. The name is the object's own; fails with `Conflict` when another manager owns a field. */
  readonly apply: (configuration: R["apply"], options: Options.ApplyOptions) => Result<R["object"]>
  /** The object while its deletion is pending, else a `Status`: told apart by `kind`. */
  readonly delete: (name: string, options?: Options.DeleteOptions) => Result<R["object"] | Options.DeleteStatus>
  readonly deleteCollection: (
    selection: Options.Selection,
    options?: Options.DeleteOptions
  ) => Result<Resource.List<R["object"]> | Options.DeleteStatus>
}

/** The methods that each verb stands for. */
export interface MethodOf {
  readonly get: "get" | "getOption"
  readonly list: "list" | "stream"
  readonly watch: "watch"
  readonly create: "create"
  readonly update: "replace"
  readonly patch: "patch" | "apply"
  readonly delete: "delete"
  readonly deletecollection: "deleteCollection"
}

/** Every method a subresource can have. */
export interface SubMethods<Out, In, Apply = never, Strategic extends boolean = true> {
  readonly get: (name: string, options?: Options.GetOptions) => Result<Out>
  readonly create: (name: string, body: In, options?: Options.WriteOptions) => Result<Out>
  readonly replace: (name: string, body: In, options?: Options.WriteOptions) => Result<Out>
  readonly patch: Patch<Out, In, Strategic>
  /** Server-side apply of the fields of the subresource. */
  readonly apply: (configuration: Apply, options: Options.ApplyOptions) => Result<Out>
}

interface SubMethodOf<Apply> {
  readonly get: "get"
  readonly create: "create"
  readonly update: "replace"
  readonly patch: [Apply] extends [never] ? "patch" : "patch" | "apply"
  readonly list: never
  readonly watch: never
  readonly delete: never
  readonly deletecollection: never
}

/** The methods of a subresource by its type. */
export type SubApi<S, Strategic extends boolean = true> = S extends
  Resource.Sub<infer Out, infer In, infer Verbs, infer Apply>
  ? Pick<SubMethods<Out, In, Apply, Strategic>, SubMethodOf<Apply>[Verbs]>
  : S extends Resource.Log
    ? (name: string, options?: Options.LogOptions) => Stream.Stream<Uint8Array, KubeError.KubeError, KubeClient>
  : never

type WithMethods<Sub> = { [K in keyof Sub]: Sub[K] extends Resource.Connect<string> ? never : K }[keyof Sub]

/** The methods of a kind: those its verbs allow, and its subresources by name. */
export type Api<R extends Resource.ResourceType> =
  & Pick<Methods<R>, MethodOf[R["verbs"]]>
  & { readonly [K in WithMethods<R["sub"]>]: SubApi<R["sub"][K], R["strategic"]> }

/** What spans all namespaces: reading many objects. */
export type AllApi<R extends Resource.ResourceType> = Pick<
  Methods<R>,
  Extract<MethodOf[R["verbs"]], "list" | "stream" | "watch">
>

/** Where the objects are. A namespace left out is the context's; cluster-scoped kinds take none. */
export type MakeOptions<R extends Resource.ResourceType> = R["scope"] extends "Cluster" ? { readonly namespace?: never }
  : { readonly namespace?: string | undefined }

/**
 * The objects of a kind in one namespace, or of a cluster-scoped kind.
 *
 * @example
 * ```ts
 * import * as Api from "@effect-k8s/core/Api"
 * import { Pod } from "@effect-k8s/core/apis/core/v1"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pods = Api.make(Pod, { namespace: "shop" })
 *   const db = yield* pods.get("db-0")
 *   return db.spec.nodeName
 * })
 * ```
 */
export const make = <R extends Resource.ResourceType>(
  row: Resource.Resource<R>,
  options?: MakeOptions<R>
): Api<R> =>
  // Sound: the methods are those of the row's verbs and subresources, which is what the type picks.
  methods(row, (client) => row.scope === "Cluster" ? undefined : options?.namespace ?? client.namespace) as Api<R>

/**
 * The objects of a namespaced kind in all namespaces: list, stream and watch only.
 *
 * @example
 * ```ts
 * import * as Api from "@effect-k8s/core/Api"
 * import { Pod } from "@effect-k8s/core/apis/core/v1"
 * import * as Stream from "effect/Stream"
 *
 * const names = Api.all(Pod).stream({ labelSelector: "app=web" }).pipe(Stream.map((pod) => pod.metadata.name))
 * ```
 */
export const all = <R extends Resource.ResourceType & { readonly scope: "Namespaced" }>(
  row: Resource.Resource<R>
): AllApi<R> => {
  const { list, stream, watch } = methods(row, () => undefined)
  const spanning: Record<string, unknown> = { list, stream, watch }
  // Sound: the three are all that `AllApi` picks from.
  return spanning as AllApi<R>
}

const methods = <R extends Resource.ResourceType>(
  row: Resource.Resource<R>,
  namespaceOf: (client: KubeClient["Service"]) => string | undefined
): Readonly<Record<string, unknown>> => {
  const at = (client: KubeClient["Service"]): Request.Location => ({
    row,
    namespace: namespaceOf(client)
  })

  /** The request, if what goes into its path are names. */
  const ask = (
    client: KubeClient["Service"],
    parts: Request.Parts
  ): Effect.Effect<KubeRequest, KubeError.KubeError> => {
    const location = at(client)
    const wrong = [location.namespace, parts.name].find((name) => name !== undefined && !Resource.isName(name))
    return wrong === undefined
      ? Effect.succeed(Request.request(location, parts))
      : Effect.fail(
        new KubeError.KubeError({
          reason: new KubeError.Encode({ description: `${JSON.stringify(wrong)} is not a name` }),
          request: { ...Request.info(location, parts), server: client.cluster.server }
        })
      )
  }

  /** Sends one request and takes the answer as it is. */
  const send = <A>(parts: Request.Parts, expected: ReadonlyArray<string>): Result<A> =>
    Effect.flatMap(KubeClient, (client) =>
      Effect.flatMap(
        ask(client, parts),
        (request) => Effect.flatMap(client.json(request), (answer) => trusted<A>(client, request, answer, expected))
      ))

  const write = (options: Options.WriteOptions | undefined) =>
    Request.query({
      dryRun: options?.dryRun === true ? "All" : undefined,
      fieldManager: options?.fieldManager,
      fieldValidation: options?.fieldValidation
    })

  const patches = <Out>(expected: ReadonlyArray<string>, subresource?: string): PatchMethods<Out, unknown> => {
    const patch = (contentType: string) => (name: string, body: unknown, options?: Options.WriteOptions) =>
      send<Out>({
        method: "PATCH",
        verb: "patch",
        name,
        subresource,
        query: write(options),
        body: Request.json(body, contentType)
      }, expected)
    return {
      json: patch("application/json-patch+json"),
      merge: patch("application/merge-patch+json"),
      strategic: patch("application/strategic-merge-patch+json")
    }
  }

  const apply =
    (expected: ReadonlyArray<string>, subresource?: string) =>
    (configuration: Resource.KubeApply, options: Options.ApplyOptions) =>
      send({
        method: "PATCH",
        verb: "patch",
        name: configuration.metadata.name,
        subresource,
        query: [...write(options), ...Request.query({ force: options.force })],
        body: Request.json(Request.withKind(row, configuration), "application/apply-patch+yaml")
      }, expected)

  const objectKinds = [row.kind]

  const get = (name: string, options?: Options.GetOptions): Result<R["object"]> =>
    send({ method: "GET", verb: "get", name, query: Request.query({ ...options }) }, objectKinds)

  const list = (options?: Options.ListOptions): Result<Resource.List<R["object"]>> =>
    Effect.map(
      send<RawList>({ method: "GET", verb: "list", query: Request.query({ ...options }) }, [row.listKind]),
      (answer) => normaliseList(row, answer)
    )

  const stream: Methods<R>["stream"] = (options = {}) => {
    const { pageSize = 500, ...selection } = options
    return Stream.paginate(
      undefined as string | undefined,
      (token) =>
        Effect.map(list({ ...selection, limit: pageSize, continue: token }), (page) => {
          const next = page.metadata.continue
          return [page.items, next === undefined || next === "" ? Option.none() : Option.some(next)] as const
        })
    )
  }

  const watch: Methods<R>["watch"] = (options = {}) =>
    Stream.unwrap(Effect.gen(function*() {
      const client = yield* KubeClient
      const request = yield* ask(client, {
        method: "GET",
        verb: "watch",
        query: Request.query({ ...options, watch: true })
      })
      return Stream.transformPull(
        Stream.splitLines(Stream.decodeText(client.stream(request))),
        (lines) => Effect.succeed(watchEvents<R["object"]>(client, request, lines))
      )
    }))

  const deleteBody = (options: Options.DeleteOptions | undefined): KubeRequest["body"] =>
    Request.json({
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds: options?.gracePeriodSeconds,
      propagationPolicy: options?.propagationPolicy,
      preconditions: options?.preconditions,
      dryRun: options?.dryRun === true ? ["All"] : undefined,
      ignoreStoreReadErrorWithClusterBreakingPotential: options?.ignoreStoreReadErrorWithClusterBreakingPotential
    })

  const every: { readonly [K in keyof Methods<R>]: unknown } = {
    get,
    getOption: (name: string, options?: Options.GetOptions) =>
      get(name, options).pipe(
        Effect.asSome,
        Effect.catchReason("KubeError", "NotFound", () => Effect.succeedNone)
      ),
    list,
    stream,
    watch,
    create: (object: R["input"], options?: Options.WriteOptions) =>
      send({
        method: "POST",
        verb: "create",
        query: write(options),
        body: Request.json(Request.withKind(row, object))
        // What cannot be read back is answered with a Status: a Binding.
      }, Resource.hasVerb(row.verbs, "get") ? objectKinds : [row.kind, "Status"]),
    replace: (name: string, object: R["input"], options?: Options.WriteOptions) =>
      send({
        method: "PUT",
        verb: "update",
        name,
        query: write(options),
        body: Request.json(Request.withKind(row, object))
      }, objectKinds),
    patch: patches(objectKinds),
    apply: apply(objectKinds),
    delete: (name: string, options?: Options.DeleteOptions) =>
      send({ method: "DELETE", verb: "delete", name, body: deleteBody(options) }, [row.kind, "Status"]),
    deleteCollection: (selection: Options.Selection, options?: Options.DeleteOptions) =>
      send({
        method: "DELETE",
        verb: "deletecollection",
        query: Request.query({ ...selection }),
        body: deleteBody(options)
      }, [row.listKind, "Status"])
  }

  const log = (name: string, options?: Options.LogOptions) =>
    Stream.unwrap(Effect.gen(function*() {
      const client = yield* KubeClient
      return client.stream(
        yield* ask(client, {
          method: "GET",
          verb: "get",
          name,
          subresource: "log",
          query: Request.query({ ...options }),
          accept: "*/*"
        })
      )
    }))

  const subresource = (subresource: string): SubMethods<unknown, unknown, Resource.KubeApply> => {
    // The answer may be of another kind (Scale, Eviction, TokenRequest).
    const anyKind: ReadonlyArray<string> = []
    const write_ =
      (method: "POST" | "PUT", verb: string) => (name: string, value: unknown, options?: Options.WriteOptions) =>
        send({ method, verb, name, subresource, query: write(options), body: Request.json(value) }, anyKind)
    return {
      get: (name, options) =>
        send({ method: "GET", verb: "get", name, subresource, query: Request.query({ ...options }) }, anyKind),
      create: write_("POST", "create"),
      replace: write_("PUT", "update"),
      patch: patches(anyKind, subresource),
      // The types offer it where the subresource has the kind of the row.
      apply: apply(objectKinds, subresource)
    }
  }

  const subresources = Object.entries(row.subresources).flatMap(([name, bits]): Array<readonly [string, unknown]> =>
    name === "log" ? [[name, log]] : bits === Resource.connect ? [] : [[name, subresource(name)]]
  )
  return { ...every, ...Object.fromEntries(subresources) }
}

interface RawList {
  readonly metadata?: Resource.List<unknown>["metadata"] | null | undefined
  readonly items?: ReadonlyArray<object> | null | undefined
}

// Servers leave out `apiVersion` and `kind` of the items of built-in lists, and send `null` for an empty Go slice.
const normaliseList = <T>(
  row: { readonly group: string; readonly version: string; readonly kind: string; readonly listKind: string },
  answer: RawList
): Resource.List<T> => {
  const apiVersion = Resource.apiVersion(row)
  return {
    apiVersion,
    kind: row.listKind,
    metadata: answer.metadata ?? {},
    // The items are the server's objects: trusted as they are, like every answer.
    items: (answer.items ?? []).map((item) => ({ apiVersion, kind: row.kind, ...item }) as T)
  }
}

const notDecoded = (
  client: KubeClient["Service"],
  request: KubeRequest,
  description: string
): KubeError.KubeError =>
  new KubeError.KubeError({
    reason: new KubeError.Decode({ description }),
    request: { ...request.info, server: client.cluster.server }
  })

// The one place where an answer gets its type: it is an object of an expected kind; its fields are the server's word.
const trusted = <A>(
  client: KubeClient["Service"],
  request: KubeRequest,
  answer: unknown,
  expected: ReadonlyArray<string>
): Effect.Effect<A, KubeError.KubeError> => {
  const kind = Predicate.hasProperty(answer, "kind") ? answer.kind : undefined
  if (typeof kind === "string" && (expected.length === 0 || expected.includes(kind))) return Effect.succeed(answer as A)
  return Effect.fail(
    notDecoded(
      client,
      request,
      `the answer is not a ${expected.join(" or ")} but ${
        typeof kind === "string" ? `a ${kind}` : "something without a kind"
      }`
    )
  )
}

/** The events of the lines. Those before an error are given first, and nothing is read behind it. */
const watchEvents = <T>(
  client: KubeClient["Service"],
  request: KubeRequest,
  lines: Pull.Pull<Arr.NonEmptyReadonlyArray<string>, KubeError.KubeError>
): Pull.Pull<Arr.NonEmptyReadonlyArray<Options.WatchEvent<T>>, KubeError.KubeError> => {
  let failure: KubeError.KubeError | undefined
  const next: Pull.Pull<Arr.NonEmptyReadonlyArray<Options.WatchEvent<T>>, KubeError.KubeError> = Effect.suspend(() =>
    failure === undefined ? Effect.flatMap(lines, decode) : Effect.fail(failure)
  )
  const decode = (batch: ReadonlyArray<string>): typeof next => {
    const events: Array<Options.WatchEvent<T>> = []
    for (const line of batch) {
      const event = watchEvent<T>(client, request, line)
      if (KubeError.isKubeError(event)) {
        failure = event
        break
      }
      events.push(event)
    }
    return Arr.isArrayNonEmpty(events) ? Effect.succeed(events) : next
  }
  return next
}

const watchEvent = <T>(
  client: KubeClient["Service"],
  request: KubeRequest,
  line: string
): Options.WatchEvent<T> | KubeError.KubeError => {
  const event = parseEvent(line)
  if (event === undefined) return notDecoded(client, request, "a line of the watch is not an event")
  // Trusted like every answer.
  if (event.type !== "ERROR") return event as Options.WatchEvent<T>
  return Option.match(Status.fromUnknown(event.object), {
    onNone: () => notDecoded(client, request, "the watch ended with an error that is no Status"),
    onSome: (status) =>
      new KubeError.KubeError({
        reason: KubeError.reasonFromStatus(status),
        request: { ...request.info, server: client.cluster.server }
      })
  })
}

const parseEvent = (line: string): { readonly type: string; readonly object: unknown } | undefined => {
  try {
    const event: unknown = JSON.parse(line)
    return Predicate.hasProperty(event, "type") && typeof event.type === "string" &&
        Predicate.hasProperty(event, "object") && Predicate.isObject(event.object)
      ? { type: event.type, object: event.object }
      : undefined
  } catch {
    return undefined
  }
}
