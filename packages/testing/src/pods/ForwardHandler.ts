/**
 * Answers requests for port-forward: the checks of the API server and the kubelet, the upgrade in each of its three
 * forms, and then the session.
 */
import * as ForwardChannels from "@effect-k8s/channels/protocol/ForwardChannels"
import * as ForwardPairs from "@effect-k8s/channels/protocol/ForwardPairs"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ServerConnection, ServerRequest, ServerResponse } from "../server/Exchange.ts"
import * as Resources from "../server/Resources.ts"
import type { SubresourceHandler } from "../server/Subresources.ts"
import * as Failure from "../store/Failure.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as Era from "./Era.ts"
import * as ExecCall from "./ExecCall.ts"
import * as ForwardChannelsSession from "./ForwardChannelsSession.ts"
import type { ForwardFaults } from "./ForwardFault.ts"
import type { ForwardRecords } from "./ForwardRecords.ts"
import * as ForwardSession from "./ForwardSession.ts"
import * as Words from "./ForwardWords.ts"
import type { Harm } from "./Harm.ts"
import * as Answers from "./upgradeAnswers.ts"

/** What port-forwards run with. */
export interface Options {
  readonly era: Era.Era
  readonly harm: Harm
  /** See `LocalNode.Options`. */
  readonly forwardPairMillis: number
  readonly records: ForwardRecords
  readonly faults: ForwardFaults
  /** Whether the pod is on the node. */
  readonly isThere: (pod: StoredObject) => boolean
}

const tunnelPrefix = "SPDY/3.1+"
const isTunnel = (name: string): boolean => name.startsWith(tunnelPrefix) && name.endsWith(".k8s.io")
const base64 = "v4.base64.channel.k8s.io"
const upgradeRequired = Failure.badRequest("Upgrade request required")

/** The handler, for the pods of a node. */
export const handler = (options: Options): SubresourceHandler =>
  Effect.fnUntraced(function*(context) {
    const { request } = context
    const reference = Resources.reference(context)
    const parsed = ForwardChannels.parsePorts(request.url.searchParams.getAll("ports"))
    if (parsed._tag === "BadPort") {
      return yield* Failure.badRequest(
        `cannot convert to []int32: strconv.ParseUint: parsing ${JSON.stringify(parsed.text)}: ${parsed.why}`
      )
    }
    yield* Answers.checkCreate(options.era, context)
    const pod = yield* context.resources.registry.get(reference)
    yield* Effect.fromResult(ExecCall.checkHost(pod))
    if (!options.isThere(pod)) return Answers.text(404, "pod does not exist")
    return WebSocketHandshake.isUpgradeRequest(request)
      ? overWebSocket(options, request, pod, parsed.ports)
      : SpdyHandshake.isUpgradeRequest(request.headers)
      ? overSpdy(options, request, pod)
      : yield* upgradeRequired
  })

/** What the sessions of a pod have in common. */
const common = (options: Options, pod: StoredObject, transport: "tunnel" | "spdy" | "websocket") => {
  const { name, namespace = "", uid } = pod.metadata
  const socket = options.records.socket()
  return {
    sandbox: Words.sandbox(uid),
    isThere: () => options.isThere(pod),
    cutMillis: options.harm.cutsForwards ? options.harm.forwardCutMillis : undefined,
    open: (port: number) => {
      const identity = { namespace, pod: name, port }
      return {
        entry: options.records.open({ ...identity, socket, transport }),
        fault: options.faults.choose(identity)
      }
    }
  }
}

const session = (
  options: Options,
  pod: StoredObject,
  transport: "tunnel" | "spdy"
) =>
(connection: ServerConnection): Effect.Effect<void, never, Scope.Scope> =>
  ForwardSession.serve({
    ...common(options, pod, transport),
    connection,
    transport,
    pairMillis: options.forwardPairMillis
  })

const negotiationFailed = (offered: ReadonlyArray<string>): ServerResponse =>
  Answers.text(
    403,
    `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(" ")}], server accepts ` +
      `[${ForwardPairs.protocol}]`,
    { "X-Accepted-Stream-Protocol-Versions": ForwardPairs.protocol }
  )

const overSpdy = (options: Options, { headers }: ServerRequest, pod: StoredObject): ServerResponse => {
  const offered = SpdyHandshake.offered(headers)
  if (offered.length === 0) {
    return Answers.text(400, `unable to upgrade: X-Stream-Protocol-Version header is required`)
  }
  return offered.includes(ForwardPairs.protocol)
    ? {
      _tag: "Upgrade",
      headers: SpdyHandshake.responseHeaders(ForwardPairs.protocol),
      serve: session(options, pod, "spdy")
    }
    : negotiationFailed(offered)
}

const overWebSocket = (
  options: Options,
  request: ServerRequest,
  pod: StoredObject,
  ports: ReadonlyArray<number>
): ServerResponse => {
  const opening = WebSocketHandshake.parseRequest(request)
  const offered = opening._tag === "Opening" ? opening.subprotocols : []
  const upgrade = (
    subprotocol: string,
    serve: (connection: ServerConnection) => Effect.Effect<void, never, Scope.Scope>
  ): ServerResponse => ({
    _tag: "Upgrade",
    headers: {
      "Upgrade": "websocket",
      "Connection": "Upgrade",
      "Sec-WebSocket-Accept": opening._tag === "Opening" ? Answers.accept(opening.key) : "",
      "Sec-WebSocket-Protocol": subprotocol
    },
    serve
  })
  const tunnels = Era.facts[options.era].translator === "none" ? [] : offered.filter(isTunnel)
  if (opening._tag === "Opening" && tunnels.length > 0) {
    // The tunnel asks for SPDY in its turn, before it answers.
    const inner = tunnels.map((name) => name.slice(tunnelPrefix.length))
    return inner.includes(ForwardPairs.protocol)
      ? upgrade(tunnelPrefix + ForwardPairs.protocol, session(options, pod, "tunnel"))
      : negotiationFailed(inner)
  }
  if (ports.length === 0) return Answers.text(400, "query parameter \"port\" is required")
  if (ports.includes(0)) return Answers.text(400, "port \"0\" must be > 0")
  if (opening._tag === "Refusal") return Answers.text(opening.status, opening.body)
  const subprotocol = WebSocketHandshake.chooseSubprotocol(offered, ["", ForwardChannels.protocol, base64])
  return subprotocol === undefined ?
    Answers.raw(403, { Connection: "close" }) :
    upgrade(subprotocol, (connection) =>
      ForwardChannelsSession.serve({
        ...common(options, pod, "websocket"),
        connection,
        ports,
        base64: subprotocol === base64
      }))
}
