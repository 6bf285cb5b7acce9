/**
 * Answers requests for an exec or an attach: the checks of the API server, the kubelet and the handshake, in their order,
 * and then the session.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ServerConnection, ServerRequest, ServerResponse, UpgradeResponse } from "../server/Exchange.ts"
import * as Resources from "../server/Resources.ts"
import type { SubresourceContext, SubresourceHandler } from "../server/Subresources.ts"
import * as Failure from "../store/Failure.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as AttachProcess from "./AttachProcess.ts"
import * as Era from "./Era.ts"
import * as ExecCall from "./ExecCall.ts"
import * as ExecCodec from "./ExecCodec.ts"
import type { ExecFault } from "./ExecFault.ts"
import type { ExecFaults } from "./ExecFaults.ts"
import * as ExecLine from "./ExecLine.ts"
import type * as ExecPipes from "./ExecPipes.ts"
import type { ExecRecords } from "./ExecRecords.ts"
import * as ExecSession from "./ExecSession.ts"
import type { Harm } from "./Harm.ts"
import * as Peer from "./Peer.ts"
import type { PodRunner } from "./PodRunner.ts"
import * as ProcessCommand from "./ProcessCommand.ts"
import type { Runtime } from "./Runtime.ts"
import * as SpdyLine from "./SpdyLine.ts"
import * as Answers from "./upgradeAnswers.ts"

/** What execs run with. */
export interface Options {
  /** What is asked for: a command, or the container's own process. */
  readonly kind: "exec" | "attach"
  readonly era: Era.Era
  readonly harm: Harm
  readonly sizes: ExecPipes.Sizes
  readonly messageBytes: number
  readonly idleMillis: number
  readonly runtime: Runtime
  readonly records: ExecRecords
  readonly faults: ExecFaults
  /** Where commands run, which outlive their connections. */
  readonly scope: Scope.Scope
  readonly find: (pod: StoredObject) => PodRunner | undefined
}

const noFault: ExecFault = {}

/** The handler, for the pods of a node. */
export const handler = (options: Options): SubresourceHandler =>
  Effect.fnUntraced(function*(context) {
    const { info, request } = context
    const reference = Resources.reference(context)
    const query = request.url.searchParams
    if (query.getAll("dryRun").some((value) => value !== "")) {
      return yield* Failure.badRequest("dryRun is not supported")
    }
    const call = ExecCall.parse(query)
    yield* Answers.checkCreate(options.era, context)
    const pod = yield* context.resources.registry.get(reference)
    const container = yield* Effect.fromResult(ExecCall.chooseContainer(pod, call.container))
    yield* Effect.fromResult(ExecCall.checkHost(pod))
    const identity = { namespace: info.namespace ?? "", pod: reference.name, container, command: call.command }
    const fault = options.faults.choose(identity) ?? noFault
    const answer = Effect.suspend(() => upgrade(options, context, { call, pod, identity, fault }))
    const transport = SpdyHandshake.isUpgradeRequest(request.headers) ? "spdy" : "websocket"
    return yield* fault.answer?.(answer, transport) ?? answer
  })

interface Exec {
  readonly call: ExecCall.ExecCall
  readonly pod: StoredObject
  readonly identity: Parameters<ExecFaults["choose"]>[0]
  readonly fault: ExecFault
}

const upgradeRequired = Failure.badRequest("Upgrade request required")

/** What was agreed on: how the 101 looks, and what speaks on the connection behind it. */
interface Agreed {
  readonly _tag: "Agreed"
  readonly transport: "websocket" | "spdy"
  readonly subprotocol: string
  readonly headers: Readonly<Record<string, string>>
  readonly line: (connection: ServerConnection, misreadsFragments: boolean) => ExecLine.ExecLine
  /** What the kubelet refuses although the server has upgraded. */
  readonly refusal: ExecCall.KubeletRefusal | undefined
}

const negotiate = (
  options: Options,
  request: ServerRequest,
  { call, refusal }: { readonly call: ExecCall.ExecCall; readonly refusal: ExecCall.KubeletRefusal | undefined }
): Agreed | ServerResponse | Failure.Failure => {
  if (SpdyHandshake.isUpgradeRequest(request.headers)) {
    return refusal === undefined ? agreeOnSpdy(request, call) : byKubelet(refusal)
  }
  const { translator } = Era.facts[options.era]
  if (!WebSocketHandshake.isUpgradeRequest(request)) {
    const asked = request.headers.get("upgrade")?.[0]
    return asked === undefined
      ? upgradeRequired
      : Failure.notImplemented(`this test cluster does not upgrade to ${asked}, only to websocket and SPDY/3.1`)
  }
  const opening = WebSocketHandshake.parseRequest(request)
  const offered = opening._tag === "Opening" ? opening.subprotocols : offeredBy(request)
  const isTranslated = translator !== "none" && offered.includes(RemoteCommand.v5)
  // The API server's translator has answered before it asks the kubelet.
  const isEarly = isTranslated && translator === "api-server"
  if (refusal !== undefined && !isEarly) return byKubelet(refusal)
  if (opening._tag === "Refusal") return refuse(opening, isEarly)
  const subprotocol = WebSocketHandshake.chooseSubprotocol(
    offered,
    isTranslated ? [RemoteCommand.v5] : ExecCodec.ofRuntime
  )
  if (subprotocol === undefined) return Answers.raw(403, { Connection: "close" })
  const { messageBytes } = options
  return {
    _tag: "Agreed",
    transport: "websocket",
    subprotocol,
    headers: {
      "Upgrade": "websocket",
      "Connection": "Upgrade",
      "Sec-WebSocket-Accept": Answers.accept(opening.key),
      "Sec-WebSocket-Protocol": subprotocol
    },
    line: (connection, misreadsFragments) =>
      ExecLine.webSocket({
        connection,
        subprotocol,
        messageBytes,
        misreadsFragments,
        maxMessageBytes: RemoteCommand.maxMessageBytes
      }),
    refusal
  }
}

const agreeOnSpdy = ({ headers }: ServerRequest, call: ExecCall.ExecCall): Agreed | ServerResponse => {
  const offered = SpdyHandshake.offered(headers)
  if (offered.length === 0) {
    return Answers.text(400, "unable to upgrade: X-Stream-Protocol-Version header is required")
  }
  const subprotocol = offered.find((name) => SpdyLine.subprotocols.includes(name))
  if (subprotocol === undefined) {
    const server = SpdyLine.subprotocols.join(" ")
    return Answers.text(
      403,
      `unable to upgrade: unable to negotiate protocol: client supports [${
        offered.join(" ")
      }], server accepts [${server}]`,
      { "X-Accepted-Stream-Protocol-Versions": SpdyLine.subprotocols.join(", ") }
    )
  }
  return {
    _tag: "Agreed",
    transport: "spdy",
    subprotocol,
    headers: SpdyHandshake.responseHeaders(subprotocol),
    line: (connection) => SpdyLine.make({ connection, subprotocol, call }),
    refusal: undefined
  }
}

const upgrade = (
  options: Options,
  { request, user }: SubresourceContext,
  exec: Exec
): Effect.Effect<ServerResponse, Failure.Failure> => {
  const container = options.find(exec.pod)?.container(exec.identity.container)
  const [running, main] = [container?.running(), container?.main()]
  const agreed = negotiate(options, request, {
    call: exec.call,
    refusal: ExecCall.checkByKubelet(exec.call, running === undefined ? notFound(options, exec) : undefined) ??
      checkAttach(options, exec, main)
  })
  if (agreed instanceof Failure.Failure) return Effect.fail(agreed)
  if (agreed._tag !== "Agreed") return Effect.succeed(agreed)
  const { refusal, subprotocol, transport } = agreed
  const isTranslated = transport === "websocket" && subprotocol === RemoteCommand.v5

  const { call, fault, identity } = exec
  const entry = options.records.open({ ...identity, user: user.name, transport, subprotocol })
  const { record } = entry
  const command = (pipes: ExecPipes.ExecPipes): Effect.Effect<ExecPipes.End> => {
    if (refusal !== undefined || running === undefined) {
      const message = `unable to upgrade connection: ${refusal?.text ?? ""}`
      return Effect.succeed({ _tag: "Refused", message })
    }
    if (options.kind === "attach") {
      return main === undefined
        ? Effect.succeed({ _tag: "Exited", code: 0 })
        : AttachProcess.run(pipes, {
          call,
          main,
          isTranslated,
          impliesStdin: transport === "websocket" && !isTranslated
        })
    }
    return ProcessCommand.run(pipes, {
      runtime: options.runtime,
      container: running,
      call,
      exec: record.id,
      harm: options.harm,
      startFailureEnd: Era.facts[options.era].startFailureEnd,
      onStart: (pid) => {
        record.pid = pid
        record.starts++
      },
      onExit: (code) => {
        record.exitCode = code
      },
      onHang: () => {
        record.harm = [...record.harm, "hung"]
      }
    })
  }
  const { idleMillis } = options
  const { serve } = fault
  const close = Effect.sync(() => {
    record.isOpen = false
  })
  const response: UpgradeResponse = {
    _tag: "Upgrade",
    headers: agreed.headers,
    serve: (accepted) => {
      const connection = fault.connection?.(accepted) ?? accepted
      return serve === undefined
        ? ExecSession.serve(connection, {
          call,
          line: agreed.line(connection, options.harm.misreadsFragments),
          harm: options.harm,
          sizes: options.sizes,
          entry,
          run: fault.run?.(command) ?? command,
          scope: options.scope,
          wire: fault.wire ?? ((wire) => wire),
          reads: fault.ignoresClient !== true,
          idleMillis
        })
        : Peer.make({ connection, line: agreed.line(connection, false), call }).pipe(
          Effect.flatMap(serve),
          Effect.ignore,
          Effect.ensuring(close)
        )
    }
  }
  return Effect.succeed(response)
}

const notFound = ({ kind }: Options, { identity }: Exec): string =>
  kind === "exec"
    ? `container not found ("${identity.container}")`
    : `container ${identity.container} not found in pod ${identity.pod}_${identity.namespace}`

const checkAttach = (
  { kind }: Options,
  { call }: Exec,
  main: AttachProcess.MainProcess | undefined
): ExecCall.KubeletRefusal | undefined =>
  kind === "attach" && main?.tty === true && call.stderr
    ? { status: 500, text: "rpc error: code = InvalidArgument desc = tty and stderr cannot both be true" }
    : undefined

const offeredBy = ({ headers }: ServerRequest): ReadonlyArray<string> =>
  (headers.get("sec-websocket-protocol")?.[0] ?? "").split(",").map((name) => name.trim())

const byKubelet = ({ status, text: body }: ExecCall.KubeletRefusal): ServerResponse => Answers.text(status, body)

// A proxy on the way, which there is unless the API server itself answers, says that the connection ends, and writes
// names its own way.
const refuse = (
  { body, headers, status }: WebSocketHandshake.Refusal,
  isDirect: boolean
): ServerResponse => {
  const close: Readonly<Record<string, string>> = isDirect ? {} : { Connection: "close" }
  return headers["sec-websocket-version"] === undefined
    ? Answers.raw(status, close, body)
    : Answers.raw(
      status,
      { ...close, [isDirect ? "Sec-WebSocket-Version" : "Sec-Websocket-Version"]: "13" },
      "missing or bad WebSocket Version"
    )
}
