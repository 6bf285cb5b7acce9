/**
 * Two connections as one: what a proxy does with an upgrade.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import * as Effect from "effect/Effect"

const copy = (from: ByteDuplex, to: ByteDuplex): Effect.Effect<void> =>
  Effect.ignore(Effect.forever(Effect.flatMap(from.pull, to.write), { disableYield: true }))

/** Copies each way until one of them has ended, and with it both: proxies know no half of a connection. */
export const join = (one: ByteDuplex, other: ByteDuplex): Effect.Effect<void> =>
  Effect.raceFirst(copy(one, other), copy(other, one))
