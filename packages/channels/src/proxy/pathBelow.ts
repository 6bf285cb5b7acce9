/**
 * Which path of a target a URL means, so that no request leaves the target. Pure.
 */
import * as Result from "effect/Result"

const isAbsolute = /^[a-z][a-z0-9+.-]*:\/\//i

/**
 * The path and the query below a `proxy` subresource: of a path as it is; of a URL that is below the subresource itself
 * what comes behind it, as in the redirects that the API server has rewritten. Dots are resolved first, so nothing leads
 * out of the target. Fails with why a URL is none of it.
 */
export const pathBelow = (url: string, server: string, prefix: string): Result.Result<string, string> => {
  const absolute = isAbsolute.test(url)
  const text = absolute ? url : `http://target${url.startsWith("/") ? "" : "/"}${url}`
  if (!URL.canParse(text)) return Result.fail("is no URL below")
  const { origin, pathname, search } = new URL(text)
  if (!absolute) return Result.succeed(pathname + search)
  const base = new URL(server)
  const root = base.pathname.replace(/\/+$/, "")
  const found = [`${root}${prefix}`, prefix].find((start) => pathname === start || pathname.startsWith(`${start}/`))
  if (origin !== base.origin || found === undefined) return Result.fail("is not below")
  const rest = pathname.slice(found.length)
  return Result.succeed((rest === "" ? "/" : rest) + search)
}
