/**
 * Images that are known to have no `sh`, so that their servers are asked once and not at each command. An image is
 * believed for an hour, because its tag may be pushed again with a shell. Where only the pod's name is known it stands for
 * its image, and is believed for ten minutes: a pod of the same name can come back with another one.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Resolved } from "../Target.ts"

const minute = 60_000
const imageMillis = 60 * minute
const podMillis = 10 * minute

const keyOf = ({ container, image, namespace, pod }: Resolved): string => image ?? `${namespace}/${pod}/${container}`

/** Until when something has no shell, in milliseconds of the clock. The client keeps it. */
export const Known: Context.Reference<ReadonlyMap<string, number>> = Context.Reference(
  "@effect-k8s/channels/session/ShellLess",
  { defaultValue: (): ReadonlyMap<string, number> => new Map() }
)

/** Whether the container's image was found to have no shell, not too long ago. */
export const isKnown = Effect.fnUntraced(function*(
  client: KubeClient["Service"],
  target: Resolved
): Effect.fn.Return<boolean> {
  const until = Context.get(yield* Ref.get(client.memory), Known).get(keyOf(target))
  return until !== undefined && (yield* Clock.currentTimeMillis) < until
})

/** Remembers that the container's image has no shell, and forgets what has expired. */
export const remember = Effect.fnUntraced(function*(
  client: KubeClient["Service"],
  target: Resolved
): Effect.fn.Return<void> {
  const now = yield* Clock.currentTimeMillis
  const until = now + (target.image === undefined ? podMillis : imageMillis)
  yield* Ref.update(client.memory, (memory) => {
    const current = Array.from(Context.get(memory, Known)).filter(([, until]) => now < until)
    return Context.add(memory, Known, new Map([...current, [keyOf(target), until]]))
  })
})
