/** Requests about one pod, for tests of the client. */
import type * as KubeClient from "@effect-k8s/core/KubeClient"
import type * as KubeError from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { type Answer, clientOf, json, type Scripted, serve } from "./scriptedServer.ts"

/** A request about one pod. */
export const request = (
  method: KubeClient.KubeRequest["method"],
  more: Partial<KubeClient.KubeRequest> = {}
): KubeClient.KubeRequest => ({
  method,
  path: "/api/v1/namespaces/shop/pods/db-0",
  info: { verb: method.toLowerCase(), resource: "pods", namespace: "shop", name: "db-0" },
  ...more
})

/** A read of it. */
export const get: KubeClient.KubeRequest = request("GET")

/** What one request comes to, with the clock run on for as long as it takes. */
export const ask = (
  scripted: Scripted,
  asked: KubeClient.KubeRequest = get,
  options: Partial<KubeClient.Options> = {}
): Effect.Effect<Result.Result<unknown, KubeError.KubeError>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* clientOf(scripted, options)
    const fiber = yield* Effect.forkChild(Effect.result(client.json(asked)))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

/** The error of one request. */
export const errorOf = (
  answer: Answer,
  asked: KubeClient.KubeRequest = get,
  options: Partial<KubeClient.Options> = {}
): Effect.Effect<KubeError.KubeError, never, Scope.Scope> =>
  Effect.flatMap(
    ask(serve(answer), asked, options),
    (result) => result._tag === "Failure" ? Effect.succeed(result.failure) : Effect.die("the request succeeded")
  )

/** An answer that is right. */
export const ok = (): Response => json({ kind: "Pod" })
