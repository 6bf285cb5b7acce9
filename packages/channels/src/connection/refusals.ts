/**
 * Handshakes that were refused or broken off, in the terms of errors: what exec and port-forward have in common.
 */
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Status from "@effect-k8s/core/Status"
import type { Refused } from "@effect-k8s/core/Transport"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Answer } from "./Negotiation.ts"

/** What an answer to a handshake means. */
export interface Told {
  readonly refusal: Answer
  readonly reason: KubeError.KubeErrorReason
  /** The beginning of the body. */
  readonly excerpt: string
}

const decoder = new TextDecoder()

/** Reads an answer that is no 101, when `conceal` has taken secrets out of its body. */
export const read = Effect.fnUntraced(function*(
  answer: Refused,
  conceal: (body: string) => string = (body) => body
): Effect.fn.Return<Told> {
  const body = conceal(decoder.decode(answer.body))
  const retryAfterMillis = yield* KubeClient.retryAfterMillis(answer.headers)
  const status = Option.getOrUndefined(Status.fromText(body))
  return {
    refusal: {
      code: answer.status,
      body: answer.body.length === 0 ? "empty" : status === undefined ? "text" : "status",
      message: status?.message
    },
    reason: KubeError.reasonFromAnswer({ code: answer.status, body, retryAfterMillis }),
    excerpt: KubeError.bodyExcerpt(body)
  }
})

/**
 * Whether the handshake broke, or was answered by no HTTP, rather than the way to the server: what is between may not
 * know this upgrade but another.
 */
export const isBroken = ({ reason }: KubeError.KubeError): boolean =>
  reason._tag === "UpgradeRefused" ||
  reason._tag === "Transport" && ["ConnectionLost", "NotHttp", "NoAnswer"].includes(reason.error.reason._tag)

/** A handshake that has failed, as tries of what was offered. */
export const toAttempts = (
  { reason }: KubeError.KubeError,
  protocol: string
): ReadonlyArray<KubeError.UpgradeAttempt> =>
  reason._tag === "UpgradeRefused"
    ? reason.attempts
    : [{ protocol, code: undefined, body: KubeError.bodyExcerpt(reason.message) }]

/** One refusal of several: where several roles are missing, each is told. */
export const forbidden = (refusals: NonEmptyReadonlyArray<KubeError.Forbidden>): KubeError.Forbidden => {
  const { code, status: { details, reason } } = refusals[refusals.length - 1] ?? refusals[0]
  const message = Array.from(new Set(refusals.map(({ status }) => status.message ?? ""))).join("; ")
  return new KubeError.Forbidden({ code, status: { status: "Failure", code, reason, details, message } })
}
