/**
 * What rows on forwarded ports have in common: sessions to the pod that listens, and a word with its programs.
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import type { ForwardOptions } from "@effect-k8s/channels/ForwardOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Api from "@effect-k8s/core/Api"
import { Deployment, StatefulSet } from "@effect-k8s/core/apis/apps/v1"
import { Service } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Net from "node:net"
import { Lab, minorVersion } from "./Lab.ts"

const encoder = new TextEncoder()

type Failures = KubeError | ChannelError

/** A session to the pod of the kind `web`. */
export const open = (
  options: ForwardOptions = {}
): Effect.Effect<PortForward.Session, KubeError, KubeClient | Lab | Scope.Scope> =>
  Effect.flatMap(Lab, ({ target }) => PortForward.open(target("web"), options))

/** Says a text. */
export const send = (connection: PortForward.Connection, text: string): Effect.Effect<void, ChannelError> =>
  Stream.run(Stream.succeed(encoder.encode(text)), connection.write)

/** Everything to the end. */
export const readAll = (connection: PortForward.Connection): Effect.Effect<string, ChannelError> =>
  Stream.mkString(Stream.decodeText(connection.read))

/** Says a text on a connection of its own, and reads to the end. */
export const ask = (
  forward: PortForward.Session,
  port: number | string,
  text: string
): Effect.Effect<string, Failures> =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* forward.connect(port)
    yield* send(connection, text)
    return yield* readAll(connection)
  }))

/** Says a text to the echo, reads it back, and leaves. */
export const echo = (
  forward: PortForward.Session,
  text: string
): Effect.Effect<string, Failures, Lab> =>
  Effect.scoped(Effect.gen(function*() {
    const { ports } = yield* Lab
    const connection = yield* forward.connect(ports.lab)
    yield* send(connection, `echo\n${text}`)
    let got = ""
    yield* Stream.runForEachWhile(Stream.decodeText(connection.read), (part) =>
      Effect.sync(() => {
        got += part
        return got.length < text.length
      }))
    return got
  }))

/** What may carry connections: servers before 1.30 know no tunnel. */
export const transports: Effect.Effect<ReadonlyArray<"tunnel" | "spdy" | "websocket">, never, Lab> = Effect.map(
  Lab,
  ({ server }) => minorVersion(server) < 30 ? ["spdy", "websocket"] : ["tunnel", "spdy", "websocket"]
)
/** Those of which one carries many connections. */
export const shared: Effect.Effect<ReadonlyArray<"tunnel" | "spdy" | "websocket">, never, Lab> = Effect.map(
  transports,
  (all) => all.filter((transport) => transport !== "websocket")
)

/** Runs with a session over each of them. */
export const eachTransport = <E, R>(
  run: (forward: PortForward.Session) => Effect.Effect<void, E, R>,
  options: ForwardOptions = {},
  which = transports
): Effect.Effect<void, E | KubeError, Exclude<R, Scope.Scope> | Lab | KubeClient> =>
  Effect.flatMap(
    which,
    (all) =>
      Effect.forEach(all, (transport) => Effect.scoped(Effect.flatMap(open({ ...options, transport }), run)), {
        discard: true
      })
  )

/** One service in front of the pod of the kind `web`, until the scope ends. */
export const withService = (spec: Service["spec"]): Effect.Effect<Service, KubeError, KubeClient | Scope.Scope> =>
  Effect.acquireRelease(
    Api.make(Service).create({ metadata: { name: "web" }, spec }),
    () => Effect.ignore(Api.make(Service).delete("web"))
  )

/**
 * A deployment and a stateful set `of-APP` that select pods by their label `app`, until the scope ends. They make none of
 * their own.
 */
export const withSelecting = Effect.fnUntraced(function*(
  app: string
): Effect.fn.Return<void, KubeError, KubeClient | Scope.Scope> {
  const [deployments, sets] = [Api.make(Deployment), Api.make(StatefulSet)]
  const metadata = { name: `of-${app}` }
  const spec = {
    replicas: 0,
    selector: { matchLabels: { app } },
    template: {
      metadata: { labels: { app } },
      spec: { containers: [{ name: "main", image: "localhost/busybox:1" }] }
    }
  }
  yield* Effect.acquireRelease(
    deployments.create({ metadata, spec }),
    () => Effect.ignore(deployments.delete(metadata.name))
  )
  yield* Effect.acquireRelease(
    sets.create({ metadata, spec: { ...spec, serviceName: "web" } }),
    () => Effect.ignore(sets.delete(metadata.name))
  )
})

/** What a local client gets in answer to a text, until the end; whoever wants to know is told when something has come. */
export const local = (host: string, port: number, text: string, onData?: () => void): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let got = ""
    const socket = Net.connect({ host, port }, () => socket.write(text))
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString()
      onData?.()
    })
    socket.on("end", () => resume(Effect.succeed(got)))
    socket.on("error", (cause) => resume(Effect.succeed(`${got}error: ${cause.message}`)))
    return Effect.sync(() => socket.destroy())
  })

/** What asks the pod for a page. */
export const get = "GET /index.html HTTP/1.0\r\n\r\n"

/** For rows to which it makes no difference how bytes get to the server. */
export const once = { path: "direct", why: "the other rows on forwarded ports go through the tunnel too" } as const
