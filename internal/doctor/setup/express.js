// Express: whosaw record lines, with the three members most logs lack: whose data (subject), which
// credential opened it, and which key signed that credential.
//
// 1. whosaw.js:

const fs = require('node:fs');
const out = fs.createWriteStream(process.env.WHOSAW_LOG || 'whosaw.jsonl', { flags: 'a', mode: 0o600 });

// The token's header and claims, for the log only: your own middleware has already checked the signature.
function part(token, i) {
  try {
    return JSON.parse(Buffer.from(token.split('.')[i], 'base64url'));
  } catch {
    return {};
  }
}

exports.whosaw = (req, res, next) => {
  const path = req.originalUrl;
  const token = (req.get('authorization') || '').replace(/^Bearer /i, '');
  const header = part(token, 0), claims = part(token, 1);
  res.on('finish', () => {
    out.write(JSON.stringify({
      time: Date.now(),
      method: req.method,
      path,
      status: res.statusCode,
      ip: req.ip,
      agent: req.get('user-agent'),
      subject: res.locals.subject, // set by the handler: the customer whose data the page shows
      others: res.locals.others, // entries of an address book, say
      principal: claims.sub && `customer:${claims.sub}`,
      credential: claims.jti, // the token's id; never the token itself
      key: header.kid,
    }) + '\n');
  });
  next();
};

// 2. In the app, before the routes; behind a proxy also: app.set('trust proxy', 1)
//
//    app.use(require('./whosaw').whosaw);
//
// 3. In each handler that shows a customer's data:
//
//    app.get('/me/addresses', async (req, res) => {
//      res.locals.subject = req.user.id;
//      …
//    });
