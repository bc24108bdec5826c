// The gateway's API, as the one who is signed in. Every request goes to the origin that this page came from.

const ROOT = new URL("../", import.meta.url);

/** What the gateway said no with. */
export class ApiError extends Error {
  constructor(status, message, requestId) {
    super(message);
    this.status = status;
    this.requestId = requestId;
  }
}

/** The address of a path and a query, in which null, undefined and "" are left out. */
export function address(path, query = {}) {
  const url = new URL(path.replace(/^\//, ""), ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

export function get(path, query, signal) {
  return request("GET", address(path, query), undefined, signal);
}

export function send(method, path, body) {
  return request(method, address(path), body);
}

async function request(method, url, body, signal) {
  const headers = { "x-gateway-dashboard": "1" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method, headers, body: JSON.stringify(body), signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway cannot be reached. Is it running, and is the network up?", null);
  }
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? null : response.json();
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  const message = body?.error?.message ?? `The gateway answered with status ${response.status}.`;
  if (response.status === 401 && !response.url.endsWith("/dashboard/session")) dispatchEvent(new Event("signed-out"));
  return new ApiError(response.status, message, response.headers.get("x-request-id"));
}
