// One request for v1/appinfo.

// Where it goes: beside the page, under whatever prefix. A relative address would lead elsewhere
// where the page's lacks its last slash, and could hold credentials, which fetch refuses.
const endpoint = ({ origin, pathname }) => origin + pathname.replace(/\/?$/, '/v1/appinfo');

// What a policy has forbidden since the last response: a redirect to another origin, say, or to http from https.
let violation;
document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
  violation = `${effectiveDirective} forbids ${blockedURI}`;
});

// Resolves to the response, and to its document if it is one. Without a response: to `lost`, which
// says so, and where the reason is the page's or the browser's own, to that `fault`.
async function send(url, timeout) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), timeout);
  let response, body, lost, fault;
  try {
    response = await fetch(url, { cache: 'no-store', signal: controller.signal });
    violation = '';
    body = await response.json();
  } catch (error) {
    // A response without a document is an error of the server's.
    if (!response) {
      lost = 'no response' + (controller.signal.aborted ? ` within ${timeout / 1e3} s` : '');
      // A violation comes as an event of its own.
      await new Promise(resolve => setTimeout(resolve, 50));
      fault = /^(Type|Abort)Error/.test(error)
        ? violation || (!navigator.onLine && 'the browser is offline')
        : `${error}`;
    }
  }
  return { response, body, lost, fault };
}
