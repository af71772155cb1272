//! A day of many researchers, a minute of it: each does what `portcullis run` does once a day, which is to refresh the catalogue, open a session, read
//! its grant with shares, leases and revocations, renew the lease, and bring what it recorded of its usage, each with its receipt of the log; some ask
//! anew, and the board looks through its queue.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::access::{Origin, Request, Session};
use portcullis::api::{JournalState, LogReceipt};
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, KeyId, Signer};
use portcullis::log::{Part, Receipt, TILE_WIDTH};
use portcullis::statement::{CatalogueId, Envelope, Statement, Subject};
use portcullis::time::Timestamp;
use portcullis::usage::{Begin, End, Event, JournalId, Record, Task, first_link, make_batch};
use serde_json::Value;

use crate::http::{AsyncStep, Connection, at_a_rate, request};
use crate::setting::Setting;
use crate::support::people::ID;
use crate::{head, row};

/// A million leases a day, five times as many in the busiest hour.
pub(crate) const RATE: f64 = 58.0;
/// Seconds that are played.
const SECONDS: f64 = 60.0;
/// One researcher in so many asks for a checkpoint, too, and a member of the board looks at the queue.
const ASKING: usize = 50;

struct Researcher {
    identity: Identity,
    signer: Box<dyn Signer>,
    registry: KeyId,
    origin: Origin,
    grant: String,
    agreement: Sha256Digest,
    catalogue: CatalogueId,
    subject: Subject,
    board: String,
    asked: AtomicUsize,
}

struct Visit {
    researcher: Arc<Researcher>,
    number: usize,
}

impl AsyncStep for Visit {
    async fn take(self, connection: &mut Connection) -> bool {
        let Self { researcher, number } = self;
        let (status, challenge) = connection.ask(&request("POST", "/v1/challenges", None, "")).await;
        let challenge: Value = serde_json::from_slice(&challenge).unwrap();
        let answer = researcher.answer(challenge["challenge"].as_str().unwrap());
        let (opened, bearer) = connection.ask(&request("POST", "/v1/sessions", None, &answer)).await;
        let bearer: Value = serde_json::from_slice(&bearer).unwrap();
        let bearer = bearer["bearer"].as_str().unwrap();
        let mut statuses = vec![status, opened];
        let newer_root = request("GET", "/v1/catalogue/metadata/2.root.json", None, "");
        assert_eq!(connection.ask(&newer_root).await.0, 404, "there is one root");
        let timestamp = request("GET", "/v1/catalogue/metadata/timestamp.json", None, "");
        statuses.push(connection.ask(&timestamp).await.0);
        let grant = &researcher.grant;
        let lists = [
            "kind=grant&limit=1000".to_owned(),
            format!("kind=share&limit=1000&about={grant}"),
            format!("kind=lease&newest=true&limit=3&about={grant}"),
            format!("kind=revocation&limit=1000&about={grant}"),
        ];
        for list in lists {
            let list = request("GET", &format!("/v1/statements?{list}"), Some(bearer), "");
            statuses.push(connection.ask(&list).await.0);
        }
        let journal = journal_of(number);
        let told = JournalState { journal, records: 0, head: first_link(journal), under_way: Vec::new() };
        let told = serde_json::to_string(&told).unwrap();
        let lease = request("POST", &format!("/v1/grants/{grant}/lease"), Some(bearer), &told);
        let (status, lease) = connection.ask(&lease).await;
        statuses.push(status);
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&lease));
        let lease = Envelope::parse(&lease).unwrap().digest();
        researcher.take_receipt("lease", lease, connection, &mut statuses).await;
        let batch = researcher.batch(journal, lease);
        statuses.push(connection.ask(&request("POST", "/v1/statements", None, &batch.to_json())).await.0);
        researcher.take_receipt("usage", batch.digest(), connection, &mut statuses).await;
        if number % ASKING == 0 {
            let asked = request("POST", "/v1/statements", None, &researcher.ask());
            statuses.push(connection.ask(&asked).await.0);
            let queue = format!("/v1/requests?checkpoint={ID}&state=pending");
            statuses.push(connection.ask(&request("GET", &queue, Some(&researcher.board), "")).await.0);
        }
        statuses.iter().all(|status| (200..300).contains(status))
    }
}

fn journal_of(number: usize) -> JournalId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    JournalId::from_bytes(id)
}

impl Researcher {
    fn answer(&self, challenge: &str) -> String {
        let created = Timestamp::now();
        let (origin, card) = (Some(self.origin.clone()), self.identity.card().clone());
        let session = Session { registry: self.registry, origin, card, created };
        let digest = Sha256Digest::compute(challenge.as_bytes());
        let subject = Subject { name: "session".to_owned(), digest };
        Statement::without_catalogue(subject, session).sign(&*self.signer).unwrap().to_json()
    }

    /// A receipt, and the tiles by which its head continues the last one.
    async fn take_receipt(
        &self,
        kind: &str,
        statement: Sha256Digest,
        connection: &mut Connection,
        statuses: &mut Vec<u16>,
    ) {
        let path = format!("/v1/log/receipts/{kind}/{statement}");
        let (status, receipt) = connection.ask(&request("GET", &path, None, "")).await;
        statuses.push(status);
        let receipt: LogReceipt = serde_json::from_slice(&receipt).unwrap();
        let receipt = Receipt::parse(receipt.entry.into_bytes(), &receipt.proof).unwrap();
        let size = receipt.note.claim().size();
        for level in 0..2_u8 {
            let index = (size >> (8 * level)) / TILE_WIDTH;
            let width = Part::width_in(level, index, size);
            if width > 0 {
                let path = format!("/log/{}", Part::tile(level, index, width));
                statuses.push(connection.ask(&request("GET", &path, None, "")).await.0);
            }
        }
    }

    /// A journal with one generation, as a batch.
    fn batch(&self, journal: JournalId, lease: Sha256Digest) -> Envelope {
        let begin = Begin {
            task: Task::Run,
            checkpoint: ID.parse().unwrap(),
            grant: self.grant.parse().unwrap(),
            lease,
            prompt_tokens: 9,
            max_tokens: 64,
            parameters: None,
            prompt: None,
            sketch: None,
            hits: Vec::new(),
            justification: None,
            blocked: false,
        };
        let end = End {
            begin: 0,
            tokens: 64,
            finish: portcullis::usage::Finish::Length,
            output: None,
            hits: Vec::new(),
            explanation: None,
        };
        let now = Timestamp::now();
        let begin = Record::new(journal, (0, first_link(journal)), now, Event::Begin(Box::new(begin)));
        let begin = begin.sign(&*self.signer).unwrap();
        let end =
            Record::new(journal, (1, begin.digest()), now, Event::End(end)).sign(&*self.signer).unwrap();
        make_batch(self.catalogue, self.identity.card(), &[begin, end], &*self.signer, now).unwrap()
    }

    fn ask(&self) -> String {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let request = Request {
            checkpoint: ID.parse().unwrap(),
            purpose: format!("Question of the day {number}").parse().unwrap(),
            uses: ["detection".parse().unwrap()].into(),
            days: 30,
            agreement: Some(self.agreement),
            renews: None,
            card: self.identity.card().clone(),
            members: Vec::new(),
            created: Timestamp::now(),
        };
        Statement::new(self.catalogue, self.subject.clone(), request).sign(&*self.signer).unwrap().to_json()
    }
}

pub(crate) async fn simulate(setting: &Setting, rate: f64) {
    let scene = &setting.served.scene;
    let manifest = fs::read(scene.at(&format!("homes/ada/sealed/{ID}/manifest.json"))).unwrap();
    let identity = setting.served.scene.identity("rosa");
    let info = std::thread::scope(|scope| scope.spawn(|| setting.served.get("/v1/registry")).join().unwrap());
    let researcher = Arc::new(Researcher {
        signer: identity.signer(None).unwrap(),
        identity,
        registry: info.json()["key_id"].as_str().unwrap().parse().unwrap(),
        origin: setting.served.process.url.parse().unwrap(),
        grant: setting.grant.clone(),
        agreement: Sha256Digest::compute(&fs::read(scene.at("agreement.md")).unwrap()),
        catalogue: scene.catalogue_id("ada"),
        subject: Subject { name: ID.to_owned(), digest: Sha256Digest::compute(&manifest) },
        board: setting.bearer("ada"),
        asked: AtomicUsize::new(0),
    });
    let count = (rate * SECONDS) as usize;
    let (size, busy) = (size_of_database(setting), setting.served.process.processor_seconds());
    let report = at_a_rate((setting.address(), 32), (rate, count), move |number| Visit {
        researcher: researcher.clone(),
        number,
    })
    .await;
    let busy = setting.served.process.processor_seconds() - busy;
    let grown = size_of_database(setting) - size;
    head("a day of many researchers");
    row(&format!("sixteen requests, at {rate} a second"), &report);
    let each = 1e3 * busy / count as f64;
    println!(
        "\n{count} visits: the server's processor time {each:.2} ms a visit, {:.0} % of one core; {}\n",
        100.0 * busy / report.lasted,
        match grown {
            0 => "the growth of the database was not measured".to_owned(),
            grown => format!("the database grew by {:.2} kB a visit", grown as f64 / 1e3 / count as f64),
        },
    );
}

/// Bytes of the database and of what waits to be written into it; 0 where it is not a file.
fn size_of_database(setting: &Setting) -> i64 {
    let sizes = ["many.db", "many.db-wal"].map(|name| {
        let path = setting.served.scene.at("reg").join(name);
        fs::metadata(path).map_or(0, |file| file.len())
    });
    sizes.iter().sum::<u64>() as i64
}
