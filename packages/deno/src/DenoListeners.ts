/**
 * Listening on local addresses of Deno.
 */
import { Listeners } from "@effect-k8s/channels/Listeners"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Deno's own `Listeners`. Servers of sockets are loaded when a program first listens, because few do. */
export const layer: Layer.Layer<Listeners> = Layer.succeed(
  Listeners,
  Listeners.of({
    listen: (address) =>
      Effect.flatMap(Effect.promise(() => import("./internal/listen.ts")), ({ listen }) => listen(address))
  })
)
