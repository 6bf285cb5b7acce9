/**
 * How a run of a container ended, by its pod's status: the stream of an attach does not tell.
 */
import * as Api from "@effect-k8s/core/Api"
import type { WatchEvent } from "@effect-k8s/core/ApiOptions"
import * as Pods from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { type HasContainers, statusOf } from "./AttachPlan.ts"

/** A run of a container. */
export interface Run {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  readonly container: string
  readonly containerId: string
}

/** What is known of it. */
export type End =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Running" }
  /** It has ended, but nobody remembers how: the container was started again since, and again. */
  | { readonly _tag: "Forgotten" }
  /** The pod is gone, or is another one. */
  | { readonly _tag: "Gone" }

/** What a pod's status says of a run. */
export const read = (pod: HasContainers, { container, containerId, uid }: Run): End => {
  if (pod.metadata.uid !== uid) return { _tag: "Gone" }
  const status = statusOf(pod, container)
  const ended = [status?.state?.terminated, status?.lastState?.terminated].find((one) =>
    one !== undefined && one.containerID === containerId
  )
  if (ended !== undefined) return { _tag: "Exited", code: ended.exitCode }
  return status?.containerID === undefined || status.containerID === containerId
    ? { _tag: "Running" }
    : { _tag: "Forgotten" }
}

const afterEvent = (event: WatchEvent<Pods.Pod>, run: Run): End => {
  if (event.type === "BOOKMARK") return { _tag: "Running" }
  const end = read(event.object, run)
  return event.type === "DELETED" && end._tag === "Running" ? { _tag: "Gone" } : end
}

const isKnown = (end: End): boolean => end._tag !== "Running"

const pollEvery = "500 millis"

/**
 * Waits until a run has ended, by one watch; `Running` if it has not within the deadline. A role that may not watch pods
 * is enough: then the pod is read now and then.
 */
export const wait = Effect.fnUntraced(function*(
  run: Run,
  deadline: Duration.Input
): Effect.fn.Return<End, KubeError, KubeClient> {
  const pods = Api.make(Pods.Pod, { namespace: run.namespace })
  const get = Effect.map(
    pods.getOption(run.pod),
    Option.match({
      onNone: () => ({ end: { _tag: "Gone" } as End, resourceVersion: undefined }),
      onSome: (pod) => ({ end: read(pod, run), resourceVersion: pod.metadata.resourceVersion })
    })
  )
  const poll = Effect.map(
    Effect.repeat(get, { schedule: Schedule.spaced(pollEvery), until: ({ end }) => isKnown(end) }),
    ({ end }) => end
  )
  const first = yield* get
  if (isKnown(first.end)) return first.end
  const watched = pods.watch({
    fieldSelector: `metadata.name=${run.pod}`,
    resourceVersion: first.resourceVersion
  }).pipe(
    Stream.map((event) => afterEvent(event, run)),
    Stream.filter(isKnown),
    Stream.runHead,
    // A watch that ends or fails says nothing.
    Effect.orElseSucceed(() => Option.none<End>()),
    Effect.flatMap(Option.match({ onNone: () => poll, onSome: (end) => Effect.succeed(end) }))
  )
  return yield* Effect.timeoutOrElse(watched, {
    duration: deadline,
    orElse: () => Effect.succeed<End>({ _tag: "Running" })
  })
})
