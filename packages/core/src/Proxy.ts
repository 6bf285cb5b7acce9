/**
 * Choosing the proxy of a connection by the rules of Go, which are those of kubectl: `HTTPS_PROXY`, `HTTP_PROXY` and
 * `NO_PROXY`. The `proxy-url` of a kubeconfig comes before them, and is not subject to `NO_PROXY`.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as IpInterface from "effect/net/IpInterface"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Endpoint from "./Endpoint.ts"
import { variable } from "./internal/environment.ts"
import { InvalidProxy, KubeConfigError } from "./KubeConfigError.ts"

/** The proxy settings of an environment. Values may hold passwords. */
export interface Environment {
  /** The proxy for `http:` and `ws:`. */
  readonly httpProxy?: string | undefined
  /** The proxy for `https:` and `wss:`. */
  readonly httpsProxy?: string | undefined
  /** The hosts that are not proxied, separated by commas. */
  readonly noProxy?: string | undefined
}

const decodeUserInfo = (text: string): Result.Result<string, string> =>
  Result.try({
    try: () => decodeURIComponent(text),
    catch: () => "has a user name or password that is not percent-encoded"
  })

const parseParts = (text: string): Result.Result<Endpoint.Proxy, string> =>
  Result.gen(function*() {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/?#]/i.exec(text)?.[1]?.toLowerCase()
    if (scheme === undefined) return yield* Result.fail("has no scheme and host")
    if (scheme !== "http" && scheme !== "https" && scheme !== "socks5") {
      return yield* Result.fail(`has the scheme "${scheme}"`)
    }
    if (!URL.canParse(text)) return yield* Result.fail("is not a valid URL")
    const url = new URL(text)
    const username = yield* decodeUserInfo(url.username)
    const password = yield* decodeUserInfo(url.password)
    // URL knows no default port of socks5 (RFC 1928).
    const port = scheme === "socks5" && url.port === "" ? "1080" : url.port
    return {
      url: new URL(`${scheme}://${url.hostname}${port === "" ? "" : `:${port}`}`),
      username: username === "" && password === "" ? undefined : username,
      password: password === "" ? undefined : Redacted.make(password)
    }
  })

/**
 * A proxy from the text of its URL: `http`, `https` or `socks5` (never `socks5h`), with a percent-encoded user and
 * password if it needs them. Only scheme, host and port are kept.
 *
 * Fails with `InvalidProxy`, which names the `source` of the text and holds nothing of the text but the scheme.
 *
 * @example
 * ```ts
 * import * as Proxy from "@effect-k8s/core/Proxy"
 * import * as Result from "effect/Result"
 *
 * const proxy = Result.getOrThrow(Proxy.parse("http://jane:secret@proxy.corp:3128", "proxy-url"))
 * proxy.url.href // => "http://proxy.corp:3128/"
 * String(proxy.password) // => "<redacted>"
 * ```
 */
export const parse = (text: string, source: string): Result.Result<Endpoint.Proxy, KubeConfigError> =>
  Result.mapError(
    parseParts(text.trim()),
    (problem) => new KubeConfigError({ reason: new InvalidProxy({ source, problem }) })
  )

// IPv4 in IPv6 compares as IPv4.
const ipFrom = (text: string): NetAddress.IpAddress | undefined =>
  Result.getOrUndefined(Result.map(NetAddress.ipFromString(text), (ip) => NetAddress.toCanonical(ip)))

const networkFrom = (text: string): IpNetwork.IpNetwork | undefined =>
  Result.getOrUndefined(
    Result.map(IpInterface.fromString(text, { prefix: "required" }), IpNetwork.fromInterface)
  )

// The host of a URL is in its ASCII form; so must be what it is compared with.
const toAscii = (host: string): string =>
  /[^\p{ASCII}]/u.test(host) && URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : host

interface Target {
  readonly host: string
  readonly port: number
  readonly ip: NetAddress.IpAddress | undefined
}

const matches = (entry: string, target: Target): boolean => {
  const network = networkFrom(entry)
  if (network !== undefined) return target.ip !== undefined && IpNetwork.contains(network, target.ip)

  // host, host:port, [IPv6] or [IPv6]:port; what has more colons is an IPv6 address
  const parts = /^\[([^\]]*)\](?::([^:]*))?$/.exec(entry) ?? /^([^:]*)(?::([^:]*))?$/.exec(entry)
  const host = parts?.[1] ?? entry
  const port = parts?.[2] ?? ""
  if (host === "" || (port !== "" && port !== String(target.port))) return false

  const ip = ipFrom(host)
  if (ip !== undefined || target.ip !== undefined) return Equal.equals(ip, target.ip)
  const domain = host.startsWith("*.") ? host.slice(1) : host
  return domain.startsWith(".")
    ? target.host.endsWith(`.${toAscii(domain.slice(1))}`)
    : target.host === toAscii(domain) || target.host.endsWith(`.${toAscii(domain)}`)
}

const bypasses = (noProxy: string, target: Target): boolean =>
  noProxy.split(",")
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry === "*" || (entry !== "" && matches(entry, target)))

/**
 * The proxy that an environment wants for a URL, or `undefined` for a direct connection.
 *
 * `NO_PROXY` is a list of `*` (everything), `example.com` (with its subdomains), `.example.com` or `*.example.com` (its
 * subdomains only), IP addresses, each with a `:port` if wanted, and CIDR networks. `localhost` and loopback addresses
 * are never proxied. A proxy without a scheme is an HTTP proxy (Go's `net/http.ProxyFromEnvironment`).
 *
 * @example
 * ```ts
 * import * as Proxy from "@effect-k8s/core/Proxy"
 * import * as Result from "effect/Result"
 *
 * const environment = { httpsProxy: "proxy.corp:3128", noProxy: "10.0.0.0/8" }
 * const choose = (url: string) => Result.getOrThrow(Proxy.choose(new URL(url), environment))?.url.host
 * choose("https://k8s.example") // => "proxy.corp:3128"
 * choose("https://10.1.2.3:6443") // => undefined
 * ```
 */
export const choose = (
  url: URL,
  environment: Environment
): Result.Result<Endpoint.Proxy | undefined, KubeConfigError> => {
  const secure = url.protocol === "https:" || url.protocol === "wss:"
  const text = secure ? environment.httpsProxy : environment.httpProxy
  if (text === undefined || text === "") return Result.succeed(undefined)

  const { host, port } = Endpoint.address({ url })
  const target: Target = { host, ip: ipFrom(host), port: url.protocol === "ws:" && url.port === "" ? 80 : port }
  if (host === "localhost" || (target.ip !== undefined && NetAddress.isLoopback(target.ip))) {
    return Result.succeed(undefined)
  }
  if (bypasses(environment.noProxy ?? "", target)) return Result.succeed(undefined)

  const withScheme = text.includes("://") ? text.replace(/^socks5h:/i, "socks5:") : `http://${text}`
  return parse(withScheme, secure ? "HTTPS_PROXY" : "HTTP_PROXY")
}

const either = (upper: string): Effect.Effect<string | undefined, KubeConfigError> =>
  Effect.filterOrElse(variable(upper), (value) => value !== undefined, () => variable(upper.toLowerCase()))

/**
 * The proxy that this process's environment wants for a URL: `choose` with `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`,
 * or the same names in lower case, read from the `ConfigProvider`.
 *
 * Fails with `InvalidProxy` when the variable that applies is no proxy URL. (Go ignores such a one and connects
 * directly; a direct connection that nobody asked for is worse than an error.)
 */
export const fromEnvironment = Effect.fnUntraced(function*(
  url: URL
): Effect.fn.Return<Endpoint.Proxy | undefined, KubeConfigError> {
  const environment: Environment = {
    httpProxy: yield* either("HTTP_PROXY"),
    httpsProxy: yield* either("HTTPS_PROXY"),
    noProxy: yield* either("NO_PROXY")
  }
  return yield* Effect.fromResult(choose(url, environment))
})
