/**
 * A session of forwarded connections: finds the pod, opens what carries them, and finds both anew when they are gone.
 */
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Socket from "effect/socket/Socket"
import type { ChannelError, ChannelInfo } from "../ChannelError.ts"
import { type Carrier, connectForward } from "../connection/connectForward.ts"
import * as Negotiation from "../connection/ForwardNegotiation.ts"
import type { ForwardOptions } from "../ForwardOptions.ts"
import * as ForwardTarget from "../ForwardTarget.ts"
import * as Liveness from "../session/Liveness.ts"
import * as ForwardConnection from "./ForwardConnection.ts"
import * as ForwardLink from "./ForwardLink.ts"
import * as ForwardPool from "./ForwardPool.ts"
import type * as PodPorts from "./podPorts.ts"
import { toSocket } from "./toSocket.ts"

/** Counts of the moment. */
export interface Stats {
  /** Upgraded connections that are open. */
  readonly sockets: number
  /** Forwarded connections on them. */
  readonly connections: number
}

/**
 * Connections to the ports of one pod. It ends with the scope that it was opened in, and they with it; in success, when
 * what was written to its end has arrived, or has taken longer than `lingerTimeout`.
 */
export interface Session {
  readonly target: ForwardTarget.ForwardTarget
  /** What carries the connections. */
  readonly transport: Negotiation.ForwardTransport
  /** The subprotocol: `SPDY/3.1+portforward.k8s.io`. */
  readonly protocol: string
  /** What was tried before, and refused. */
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
  /** The pod that new connections go to. */
  readonly pod: Effect.Effect<string>
  /**
   * Connects to a port, by number, or by the name that the pod or service gives it. Closing the scope ends the connection.
   *
   * Fails with `KubeError` where there is no such port, or the session had to be opened anew and could not. That nothing
   * listens in the pod, servers tell only afterwards: then reading fails, with `PortRefused`, or, where the pod is gone and
   * none has taken its place, with `PodGone`.
   */
  readonly connect: (
    port: number | string
  ) => Effect.Effect<ForwardConnection.Connection, KubeError.KubeError | ChannelError, Scope.Scope>
  /**
   * The same as a socket, which dials whenever its reader is acquired. A clean end is `SocketCloseError` 1000; a refusal
   * `SocketOpenError`, from the reader or from the first pull, with our error as its cause; releasing the writer ends the
   * writing side.
   */
  readonly socket: (port: number | string) => Socket.Socket
  readonly stats: Effect.Effect<Stats>
}

/** A session with the means of its owner. */
export interface Owned extends Session {
  readonly connectOwned: (
    port: number | string
  ) => Effect.Effect<ForwardConnection.Owned, KubeError.KubeError | ChannelError, Scope.Scope>
  readonly portOf: (port: number | string) => Effect.Effect<PodPorts.Found, KubeError.KubeError>
}

const defaultSockets = 4
const defaultBufferBytes = 1024 * 1024

const liveness = ({ heartbeat }: ForwardOptions): Liveness.Settings => {
  const millis = (input: Duration.Input | undefined, otherwise: number): number =>
    input === undefined ? otherwise : Duration.toMillis(Duration.fromInputUnsafe(input))
  return {
    pingAfter: millis(heartbeat?.after, Liveness.defaults.pingAfter),
    pongWithin: millis(heartbeat?.within, Liveness.defaults.pongWithin),
    keepAliveAfter: millis(heartbeat?.keepAliveAfter, Liveness.defaults.keepAliveAfter)
  }
}

/** The API server knows no such pod, or, which says so without a Status, the pod's node. */
const isNowhere = (reason: KubeError.KubeErrorReason): boolean =>
  reason._tag === "NotFound" || (reason._tag === "UnexpectedStatus" && reason.code === 404)

/** Opens a session in the current scope. */
export const openSession = Effect.fnUntraced(function*(
  target: ForwardTarget.ForwardTarget,
  options: ForwardOptions
): Effect.fn.Return<Owned, KubeError.KubeError, KubeClient | Scope.Scope> {
  const client = yield* KubeClient
  const handshakeTimeout = Duration.fromInputUnsafe(options.handshakeTimeout ?? "30 seconds")
  const podTimeout = Duration.fromInputUnsafe(options.podTimeout ?? "1 minute")
  const unreadGrace = Duration.fromInputUnsafe(options.unreadGrace ?? "10 seconds")
  const lingerTimeout = Duration.fromInputUnsafe(options.lingerTimeout ?? "30 seconds")
  const policy = options.transport ?? "auto"
  const end = options.tellEnd === "at-once-and-lose-late-answers" ? "at-once" : "withheld"

  const resolve = Effect.provideService(ForwardTarget.resolve(target, { podTimeout }), KubeClient, client)
  let resolved = yield* resolve
  // What has worked is asked for first from then on.
  let known: Negotiation.ForwardTransport | undefined

  const info = (
    { attempts, transport }: Pick<Session, "transport" | "attempts">,
    port: number
  ): ChannelInfo => ({
    namespace: resolved.namespace,
    pod: resolved.pod,
    container: undefined,
    command: `a connection to port ${port}`,
    server: client.cluster.server,
    protocol: Negotiation.describe(transport),
    attempts
  })

  const carry = (port: number | undefined) =>
    Effect.suspend(() =>
      connectForward(client, { namespace: resolved.namespace, pod: resolved.pod, port }, {
        policy,
        first: known,
        handshakeTimeout
      })
    )

  // Which pod a link was opened for: it outlives the pod.
  let generation = 0
  const generations = new WeakMap<ForwardLink.ForwardLink, number>()

  const toLink = (
    carrier: Carrier,
    opened: number
  ): Effect.Effect<ForwardLink.ForwardLink, never, Scope.Scope> => {
    // Not what takes a socket for each connection: that is for as long as the others are refused.
    if (carrier.transport !== "websocket") known = carrier.transport
    return Effect.tap(
      ForwardLink.make({
        carrier,
        info: (port) => info(carrier, port),
        bufferBytes: options.bufferBytes ?? defaultBufferBytes,
        unreadGrace,
        lingerTimeout,
        liveness: liveness(options)
      }),
      (link) =>
        Effect.sync(() => {
          generations.set(link, opened)
          // The pod was found to be another while this was being opened.
          if (opened !== generation) link.retire()
        })
    )
  }

  const open = (port: number): Effect.Effect<ForwardLink.ForwardLink, KubeError.KubeError, Scope.Scope> =>
    Effect.suspend(() => {
      const opened = generation
      return Effect.flatMap(carry(port), (carrier) =>
        carrier._tag === "Carrier"
          ? toLink(carrier, opened)
          : Effect.die(new Error("a connection for a port was opened without one")))
    })
  // The pod that was selected may be gone, and another in its place.
  const hasGone = ({ reason }: KubeError.KubeError): boolean => "kind" in target && isNowhere(reason)
  const pool = yield* ForwardPool.make({
    sockets: Math.max(options.sockets ?? defaultSockets, 1),
    open,
    isGone: hasGone
  })

  // The first one shows that the pod can be reached, before anybody asks for a connection.
  let begun: Pick<Session, "transport" | "attempts"> = { transport: "websocket", attempts: [] }
  yield* pool.adopt(Effect.flatMap(carry(undefined), (carrier) => {
    begun = carrier
    known = carrier.transport
    return carrier._tag === "Carrier" ? toLink(carrier, generation) : Effect.undefined
  }))
  const { attempts, transport } = begun
  yield* Effect.annotateCurrentSpan({
    "k8s.transport": transport,
    "k8s.protocol": Negotiation.describe(transport),
    "k8s.refused": attempts.map(KubeError.describeAttempt)
  })

  const portOf: Owned["portOf"] = (port) => Effect.suspend(() => resolved.port(port))

  const renewing = Semaphore.makeUnsafe(1)
  /** Looks for the pod anew, unless somebody has since it was `seen`. Gives whether another connection may fare better. */
  const renew = (seen: number | undefined, isGone: boolean): Effect.Effect<boolean, KubeError.KubeError> =>
    renewing.withPermit(Effect.gen(function*() {
      if (seen !== generation) return true
      const { uid } = resolved
      resolved = yield* resolve
      if (!isGone && uid === resolved.uid) return false
      generation++
      yield* pool.retire
      return true
    }))

  /** By the name or number that was asked for, because pods may have it at other ports. */
  const connectTo = (asked: number | string) =>
    Effect.suspend(() => {
      const seen = generation
      const once = Effect.flatMap(portOf(asked), ({ port }) => pool.connect(port))
      return Effect.catchIf(once, hasGone, () => Effect.andThen(Effect.interruptible(renew(seen, true)), once))
    })

  const connectOwned: Owned["connectOwned"] = (asked) =>
    ForwardConnection.make({
      connect: connectTo(asked),
      renew: (failed, isGone) => renew(generations.get(failed.link), isGone),
      timeout: handshakeTimeout,
      end,
      info: (port) => info(begun, port)
    })

  return {
    target,
    transport,
    protocol: Negotiation.protocols[transport],
    attempts,
    pod: Effect.sync(() => resolved.pod),
    connect: (port) => Effect.withSpan(connectOwned(port), "PortForward.connect", { attributes: { "k8s.port": port } }),
    socket: (port) => toSocket(connectOwned(port)),
    stats: Effect.sync(() => {
      const links = pool.links()
      return { sockets: links.length, connections: links.reduce((sum, link) => sum + link.size(), 0) }
    }),
    connectOwned,
    portOf
  }
})
