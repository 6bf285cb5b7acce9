/**
 * Answers requests for the log of a container.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ServerResponse } from "../server/Exchange.ts"
import * as Resources from "../server/Resources.ts"
import type { SubresourceHandler } from "../server/Subresources.ts"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import type { Container } from "./Container.ts"
import * as ContainerLog from "./ContainerLog.ts"
import * as ExecCall from "./ExecCall.ts"
import * as LogOptions from "./LogOptions.ts"
import type { Notice } from "./Notice.ts"
import type { PodRunner } from "./PodRunner.ts"

const headers = { "Content-Type": "text/plain" }

const noContent: ServerResponse = { _tag: "Body", status: 204, headers: {}, body: "" }

/** The handler, for the pods of a node. */
export const handler = (find: (pod: StoredObject) => PodRunner | undefined): SubresourceHandler =>
  Effect.fnUntraced(function*(context) {
    const reference = Resources.reference(context)
    const options = yield* Effect.fromResult(LogOptions.parse(reference.name, context.request.url.searchParams))
    const pod = yield* context.resources.registry.get(reference)
    const name = yield* Effect.fromResult(ExecCall.chooseContainer(pod, options.container))
    if ((Json.string(Json.get(pod, "spec", "nodeName")) ?? "") === "") return noContent
    const runner = find(pod)
    const container = runner?.container(name)
    const log = options.previous ? container?.previousLog() : container?.log()
    if (runner === undefined || log === undefined) {
      return yield* Failure.badRequest(
        options.previous
          ? `previous terminated container "${name}" in pod "${reference.name}" not found`
          : `container "${name}" in pod "${reference.name}" is waiting to start: ${waitingReason(container)}`
      )
    }
    const now = yield* Clock.currentTimeMillis
    const since = options.sinceSeconds === undefined ? options.sinceTime : now - options.sinceSeconds * 1_000
    return { _tag: "Stream", status: 200, headers, body: body(log, runner.notice, { ...options, since }) }
  })

const waitingReason = (container: Container | undefined): string => {
  const state = container?.view().state
  return state?._tag === "Waiting" ? state.reason : "ContainerCreating"
}

interface Wanted extends ContainerLog.Selection {
  readonly follow: boolean
  readonly timestamps: boolean
  readonly limitBytes: number | undefined
}

const body = (log: ContainerLog.ContainerLog, notice: Notice, wanted: Wanted): Stream.Stream<Uint8Array> =>
  Stream.suspend(() => {
    const present = log.from(0)
    let { next } = present
    let pending = ContainerLog.select(present.entries, wanted)
    let startsLine = true
    let left = wanted.limitBytes ?? Number.POSITIVE_INFINITY
    const pull = Effect.gen(function*() {
      while (left > 0) {
        const { bytes, startsLine: starts } = ContainerLog.render(pending, wanted.timestamps, startsLine)
        startsLine = starts
        pending = []
        if (bytes.length > 0) {
          const some = bytes.subarray(0, left)
          left -= some.length
          return [some] as const
        }
        if (!wanted.follow) break
        yield* notice.until(() => log.hasEnded() || log.from(next).entries.length > 0)
        const more = log.from(next)
        if (more.entries.length === 0) break
        next = more.next
        pending = more.entries
      }
      return yield* Cause.done()
    })
    return Stream.fromPull(Effect.succeed(pull))
  })
