/**
 * What spans tell of a connection: over what it runs, and what was refused before.
 */
import * as Attach from "@effect-k8s/channels/Attach"
import * as Exec from "@effect-k8s/channels/Exec"
import * as PortForward from "@effect-k8s/channels/PortForward"
import { v4 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Server from "../support/execServer.ts"
import * as ForwardServer from "../support/forwardServer.ts"
import * as Programs from "../support/programs.ts"
import { runningPod } from "../support/runningPod.ts"
import { collecting } from "../support/spans.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** The attributes of the span of this name. */
const traced = Effect.fnUntraced(function*<A, E, R>(name: string, effect: Effect.Effect<A, E, R>) {
  const { spans, tracer } = collecting()
  yield* Effect.withTracer(effect, tracer)
  const span = spans.find((span) => span.name === name)
  assert.isDefined(span)
  return ["k8s.transport", "k8s.protocol", "k8s.refused"].map((key) => span?.attributes.get(key))
})

describe("a span tells what was used, and what was refused before", () => {
  const refuse: Server.Settings["refuse"] = ({ transport }) => transport === "websocket" ? { status: 501 } : undefined

  it.effect("of a command", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ spdy: true, refuse, script: Programs.serve(Programs.basic) })
      const command = Exec.exitCode(Exec.on(target)(["count"]))
      assert.deepStrictEqual(yield* traced("Exec.start", Effect.provideService(command, KubeClient, server.client)), [
        "spdy",
        `spdy ${v4}`,
        [`websocket v5.channel.k8s.io, ${v4}: HTTP 501`]
      ])
    }))

  it.effect("of a command whose connection was exchanged before it began", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        spdy: true,
        script: (session) =>
          session.asked.transport === "spdy"
            ? Programs.serve(Programs.basic)(session)
            : Effect.andThen(
              session.status(Server.internalError("error dialing backend: no route to host")),
              session.goodbye()
            )
      })
      const command = Exec.exitCode(Exec.on(target)(["count"]))
      assert.deepStrictEqual(yield* traced("Exec.start", Effect.provideService(command, KubeClient, server.client)), [
        "spdy",
        `spdy ${v4}`,
        ["websocket v5.channel.k8s.io: HTTP 101"]
      ])
    }))

  it.effect("of an attach", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ spdy: true, refuse, pod: () => Response.json(runningPod) })
      const attached = Effect.scoped(Attach.attach(target))
      assert.deepStrictEqual(
        yield* traced("Attach.attach", Effect.provideService(attached, KubeClient, server.client)),
        ["spdy", `spdy ${v4}`, [`websocket ${v4}: HTTP 501`]]
      )
      yield* Server.timePasses
    }))

  it.effect("of forwarded ports", () =>
    Effect.gen(function*() {
      const server = yield* ForwardServer.make()
      const opened = Effect.scoped(PortForward.open(Target.pod("p")))
      assert.deepStrictEqual(
        yield* traced("PortForward.open", Effect.provideService(opened, KubeClient, server.client)),
        ["spdy", "spdy portforward.k8s.io", ["tunnel SPDY/3.1+portforward.k8s.io: HTTP 400"]]
      )
    }))
})
